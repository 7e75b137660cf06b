"""Which requests may be cached at all, how far, and what the reason says."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.cacheability import (
    LEVELS,
    LONGEST_QUESTION,
    Cacheability,
    Level,
    Reason,
    by_rules,
    cacheability,
    content_class,
    is_follow_up,
    is_personal,
    is_volatile,
)
from cache.query import CachePolicy, Directives, Query
from cache.reading import read as reading_of
from cache.scope import split
from tests.cache.asking import ask
from tests.running import ROOT

FAQ = ROOT / "data" / "faq"
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def judged(query: Query) -> Cacheability:
    return cacheability(query, split(query.mapping["messages"]))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# --- By the request -----------------------------------------------------------------------------------------


def test_a_plain_first_question_may_be_served_semantically() -> None:
    assert judged(ask("How do I reset my password?")) == Cacheability("semantic", "")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"previous_response_id": "resp_1"}, "stateful"),
        ({"conversation": "conv_1"}, "stateful"),
        ({"store": True}, "stateful"),
        ({"audio": {"voice": "alloy", "format": "mp3"}}, "stateful"),
        ({"prediction": {"type": "content", "content": "x"}}, "stateful"),
        ({"web_search_options": {"search_context_size": "low"}}, "stateful"),
        ({"web_search_options": {}}, "stateful"),
        ({"mcp_servers": [{"type": "url", "name": "x", "url": "https://x.invalid"}]}, "stateful"),
        ({"container": "container_1"}, "stateful"),
        ({"prompt": {"id": "pmpt_1"}}, "stateful"),
        ({"cached_content": "cachedContents/1"}, "stateful"),
        ({"plugins": [{"id": "web"}]}, "stateful"),
        ({"search_parameters": {"mode": "auto"}}, "stateful"),
        ({"enable_search": True}, "stateful"),
        ({"input[1]": {"type": "item_reference", "id": "msg_1"}}, "stateful"),
        ({"tools": [TOOL]}, "tools"),
        ({"functions": [TOOL["function"]]}, "tools"),
        ({"n": 2}, "several-choices"),
    ],
    ids=str,
)
def test_state_tools_and_several_choices_are_never_cached(fields: dict[str, Any], reason: Reason) -> None:
    assert judged(ask(**fields)) == Cacheability("none", reason)


@pytest.mark.parametrize("fields", [{"enable_search": False}, {"mcp_servers": []}, {"container": None}], ids=str)
def test_what_is_switched_off_keeps_no_state(fields: dict[str, Any]) -> None:
    assert judged(ask(**fields)) == Cacheability("semantic", "")


def test_a_mark_on_the_last_turn_leaves_the_request_cacheable() -> None:
    part = {"type": "text", "text": "How do I reset my password?", "cache_control": {"type": "ephemeral"}}

    assert judged(ask([part])) == Cacheability("semantic", "")


@pytest.mark.parametrize(
    "fields", [{"store": False}, {"store": None}, {"tools": []}, {"n": 1}, {"n": None}, {"audio": None}], ids=str
)
def test_a_field_that_asks_for_nothing_does_not_matter(fields: dict[str, Any]) -> None:
    assert judged(ask(**fields)).level == "semantic"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([{"type": "text", "text": "What is this?"}, IMAGE], "not-plain-text"),
        ([IMAGE], "not-plain-text"),
        (None, "not-plain-text"),
        ("", "empty"),
        (" \n\t ", "empty"),
        ([{"type": "text", "text": " "}], "empty"),
    ],
    ids=str,
)
def test_images_and_empty_texts_are_never_cached(content: Any, reason: Reason) -> None:
    assert judged(ask(content)) == Cacheability("none", reason)


def test_an_answer_to_continue_is_never_cached() -> None:
    messages = [{"role": "user", "content": "Write a poem."}, {"role": "assistant", "content": "Roses are"}]
    assert judged(ask(messages=messages)) == Cacheability("none", "not-plain-text")


def test_a_route_may_switch_its_cache_off() -> None:
    assert judged(ask(policy=CachePolicy(mode="off"))) == Cacheability("none", "cache-off")


def test_a_route_may_serve_the_same_text_only() -> None:
    assert judged(ask(policy=CachePolicy(mode="exact"))) == Cacheability("exact", "route-exact")
    assert judged(ask("Where is my parcel?", policy=CachePolicy(mode="exact"))) == Cacheability("none", "personal")


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("share", Cacheability("semantic", "")),
        ("exact", Cacheability("exact", "temperature-exact")),
        ("bypass", Cacheability("none", "temperature")),
    ],
)
def test_a_route_says_what_becomes_of_a_high_temperature(sampling: Any, expected: Cacheability) -> None:
    policy = CachePolicy(sampling=sampling)
    assert judged(ask(policy=policy, temperature=1.4)) == expected
    assert judged(ask(policy=policy, temperature=1)) == Cacheability("semantic", "")
    assert judged(ask(policy=policy, temperature=None)) == Cacheability("semantic", "")


def test_a_caller_may_forbid_to_store() -> None:
    assert judged(ask(directives=Directives(no_store=True))) == Cacheability("none", "no-store")


# --- By the text --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["refund", "refund???", "hi you", "a b c", "パスワード"])
def test_a_very_short_text_is_exact_only(text: str) -> None:
    assert judged(ask(text)) == Cacheability("exact", "short")


def test_a_very_long_text_is_exact_only() -> None:
    assert judged(ask("Summarise this report. " + "Revenue grew. " * 300)) == Cacheability("exact", "long")


def test_a_question_with_earlier_turns_is_exact_only() -> None:
    earlier = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    for text in ("How do I reset my password?", "And what about the second one?"):
        messages = [*earlier, {"role": "user", "content": text}]
        assert judged(ask(messages=messages)) == Cacheability("exact", "earlier-turns")


def test_a_system_prompt_is_no_earlier_turn() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How do I reset my password?"}]
    assert judged(ask(messages=messages)).level == "semantic"


PERSONAL = """\
Where is my parcel?
Why was I charged twice?
Has my refund been approved yet?
What's my account balance?
What’s my account balance?
How much do I owe you?
When does my subscription renew?
Is my order 12345 on its way?
How do I return order 4821977?
My email is bob@example.com, reset my password
Which tariff am I on?
Did you receive my payment?
Track my order please
Show me my last invoice
Why was the card ending in 4821 declined?
I'm Maria Gomez, cancel my plan
Call me back on +49 171 5551234
How many vacation days do I have left?
Why is my account suspended?
Tell me my current PIN
What did I order in May?
Can you check the status of my ticket?
Was our appointment moved?
My delivery hasn't arrived
I was billed for the wrong plan
Please update ticket ABC-1234
How do I cancel invoice #4711?
Do you deliver to 12 Baker Street?
Where do I download the invoice from Ms. Miller?
Am I still under contract?""".splitlines()

VOLATILE = """\
Is the site down?
What's the weather in Oslo?
Are you open right now?
What are today's deals?
Who is the current CEO of Apple?
When is the next train to Bonn?
Is there an outage at the moment?
What's the latest iOS version?
Is the blue jacket in stock?
What time is it?
Is it Friday yet?
What day of the month is it?
How long is it until the holidays?
What will the exchange rate be tomorrow?
Is anything on sale?""".splitlines()

FOLLOW_UPS = """\
And in black?
What about the other one?
How much does that cost?
Why not?
Can you explain that again?
Does it come in red?
Is that all?
And if I pay by card?
Tell me more
What do you mean by that?
Are they waterproof?
Do you have it in a larger size?
How do I turn it off?
ok thanks, and the second option?
Can you make it shorter?
No, the other one
What else do you offer?
Is it safe?
What are its advantages?
Will it work if I restart it?
Will it arrive before Friday?
Is it free for students?
Do they work at night?
Does it have air in it?
Same for Android""".splitlines()

FOR_EVERYBODY = """\
How do I change my password?
Can I cancel my subscription at any time?
Where do I find my invoices?
What happens to my data when I close my account?
How long does delivery take?
Do you ship to Norway?
Is there a student discount?
What payment methods do you accept?
Can I use my gift card online?
How can I track my order?
My phone was stolen, how do I block the SIM?
I'm moving next month. How do I take the contract with me?
What is your return policy?
I forgot my password
How do I know if my order was shipped?
Do I need an account to buy something?
Should I restart my router when the light is red?
Is it possible to change my delivery address after ordering?
I ordered the wrong size, how do I exchange it?
What does the warranty cover?
Can my children use my account?
Are there fees for paying by credit card?
Is my data safe with you?
Am I allowed to bring a dog?
How long does it take to get a new card?
What does it cost to send a parcel abroad?
The printer shows an error. How do I reset it?
What should I do if my payment fails?
I want to delete my account
Does my phone support eSIM?
Explain the difference between TCP and UDP
What is the capital of France?
Translate 'good morning' into Spanish
Which Python version introduced match statements?
Who made you?
What exactly can you help me with?
Where are you from?
Do they take reservations at the Blue Door?
Is it time for new tires after 40,000 miles?
Will it be okay to use water instead of milk?
Does it matter which card I use?
What does it mean if it says that a payment is pending?
Do disposable cards have any restrictions on them?
Is their a fee for top ups?""".splitlines()


SAMPLING = """\
Give me another joke
Pick a number between 1 and 6 at random
Generate a strong password
flip a coin
please roll two dice
Surprise me
Write a different poem
Let's play hangman""".splitlines()

CREATIVE = """\
Write a haiku about autumn
Tell me a joke
Make up a bedtime story about a fox
Suggest a name for my bakery
Do you know any fun facts about otters?
Brainstorm slogans for a bike shop""".splitlines()

ONLY_LOOKS_LIKE_IT = """\
How do I generate a random number in Java?
What is a random forest?
What is the probability that a coin flip shows heads?
Write a Python function that picks a random card
What does NOW() return in Postgres?
Which Excel function gives today's date?
Who wrote the song Yesterday?
How do weather balloons work?
What is the current in a wire of 2 ohms at 12 volts?
What does the status 'pending' mean?
What does my invoice mean?
my first Python loop: how do I write one?
What is the difference between this and that in English?
People that travel a lot: which card fits them?
I have an old router. How do I connect it to the new modem?
What does ISO 27001 certify?
What is error 0x80070057?
In an address like user@example.com, what is the domain?
Does travel insurance cover a cancelled flight?
Explain 'It' by Stephen King""".splitlines()

OTHER_LANGUAGES = """\
Wie kann ich mein Passwort ändern?
Comment puis-je annuler mon abonnement ?
¿Cómo puedo devolver un producto?
Как изменить пароль?""".splitlines()


@pytest.mark.parametrize("text", SAMPLING)
def test_who_asks_for_chance_or_something_new_never_gets_what_another_got(text: str) -> None:
    assert judged(ask(text)) == Cacheability("none", "sampling")


@pytest.mark.parametrize("text", CREATIVE)
def test_of_many_good_answers_each_asker_gets_one_of_its_own(text: str) -> None:
    assert judged(ask(text)) == Cacheability("exact", "creative")


@pytest.mark.parametrize("text", ONLY_LOOKS_LIKE_IT)
def test_a_word_alone_makes_nothing_volatile_personal_or_a_follow_up(text: str) -> None:
    assert judged(ask(text)) == Cacheability("semantic", "")


TOLD = """\
I tried to top up my card but it is still pending. What's going on?
My card payment was declined this morning. Why?
I made a transfer the day before yesterday and it is still not showing up.
I found my card in my jacket this morning, so how do I reactivate it?
I'm abroad and really need to change my PIN right now
How long is the wait for a money transfer to show up?
What is the wait time for a replacement card?
Which countries do you currently support?
It's been two weeks, why has the payment not been reversed?
It won't let me verify my identity.
It appears that my top-up was cancelled.
Is it possible that my payment was reverted?
How long does it usually take for a parcel to arrive?
Why does it still say that my transfer is pending?
This is urgent, I typed the wrong account number into a transfer.
There is a fee on my statement, can you explain this to me?
I'd like one of those virtual cards
How do you say goodbye in Spanish?
Would you say that I need new tyres every winter?
Who are you?
How old are you?
Where do you come from?
What can you do for me?
What are you called?""".splitlines()

NOT_TOLD_BUT_ASKED = """\
Is your app down or what is going on?
I tried to log in, is the site currently down?
I need to know what the queue looks like right now
How long is the wait at the hotline?
How bad is the wait ti get in?
What is the current exchange rate?
What would you say?
Could you say that again?
Explain it to me
Which one of these is better?
Can life exist on either of them?
What are examples of these predators?
It's not working
It won't let me
That's not right""".splitlines()


@pytest.mark.parametrize("text", TOLD)
def test_a_trouble_that_is_told_is_a_question_of_its_own_whenever_it_befell(text: str) -> None:
    """On a route whose bot knows nobody: else some of these are personal."""
    assert judged(ask(text, policy=CachePolicy(personal="share"))).level == "semantic"


@pytest.mark.parametrize("text", NOT_TOLD_BUT_ASKED)
def test_a_question_that_needs_the_moment_or_the_context_stays_out(text: str) -> None:
    assert judged(ask(text, policy=CachePolicy(personal="share"))).level == "none"


REGULAR_HOURS = """\
Is the shop open on Sunday?
Are you open on Sundays?
How late is the pharmacy open on Sunday?
What time do you close on Saturday evenings?
Is the office closed on Thanksgiving?
Is the branch shut at the weekend?
Are your stores open over Easter?""".splitlines()

AT_THIS_MOMENT = """\
Is the shop open now?
Are you open today?
Is the library open tomorrow?
Is the shop open this Sunday?
Is the office closed next Monday?
Is the road still closed on Friday?""".splitlines()


@pytest.mark.parametrize("text", REGULAR_HOURS)
def test_hours_that_hold_every_week_or_year_are_told_to_everybody(text: str) -> None:
    assert judged(ask(text)) == Cacheability("semantic", "")


@pytest.mark.parametrize("text", AT_THIS_MOMENT)
def test_whether_it_is_open_at_one_moment_is_volatile(text: str) -> None:
    assert judged(ask(text)) == Cacheability("none", "volatile")


@pytest.mark.parametrize("text", OTHER_LANGUAGES)
def test_what_the_rules_cannot_read_is_exact_only(text: str) -> None:
    assert judged(ask(text)) == Cacheability("exact", "other-language")


@pytest.mark.parametrize("text", ["Wo ist mein Paket?", "¿Dónde está mi pedido?", "Où est mon colis ?"])
def test_ones_own_parcel_is_personal_in_other_languages_too(text: str) -> None:
    assert judged(ask(text)) == Cacheability("none", "personal")


@pytest.mark.parametrize("text", ["Wie wird das Wetter morgen?", "Quel temps fait-il aujourd'hui à Lyon ?"])
def test_the_weather_is_volatile_in_other_languages_too(text: str) -> None:
    assert judged(ask(text)) == Cacheability("none", "volatile")


@pytest.mark.parametrize(
    ("slip", "reason"),
    [
        ("whats the wether like in oslo", "volatile"),
        ("wheres my oder", "personal"),
        ("waht about the secnd one", "follow-up"),
    ],
)
def test_a_slip_of_the_pen_hides_nothing(slip: str, reason: str) -> None:
    assert judged(ask(slip)).reason == reason


@pytest.mark.parametrize(
    "text",
    [
        "I have type 2 diabetes, is grapefruit fine?",
        "My son is allergic to penicillin. What can we give him?",
        "I'm 34 weeks pregnant, may I fly?",
        "I earn 3,200 a month. What rent is sensible?",
        "My password is Tulip!2291, is it strong?",
        "My iban is GB29NWBK60161331926819",
        "My boss Sandra is rude to me",
    ],
)
def test_what_somebody_tells_of_themselves_is_never_kept_whatever_the_route_shares(text: str) -> None:
    for personal in ("bypass", "share"):
        assert judged(ask(text, policy=CachePolicy(personal=personal))) == Cacheability("none", "personal")


@pytest.mark.parametrize("text", ["Can pregnant women eat brie?", "Can I take ibuprofen if I have asthma?"])
def test_a_question_about_health_in_general_is_for_everybody(text: str) -> None:
    assert judged(ask(text)).level == "semantic"


@pytest.mark.parametrize("text", ["Where is my parcel?", "Why was I charged twice?", "Please cancel my order"])
def test_a_route_whose_bot_knows_nobody_may_share_its_answers_to_personal_questions(text: str) -> None:
    assert judged(ask(text, policy=CachePolicy(personal="share"))).level == "semantic"
    assert judged(ask(text, policy=CachePolicy(personal="bypass"))).level == "none"


PERSONAL_BY_NO_RULE = """\
still waiting on the refund for the dishwasher
charged me twice for the same pair of boots??
the direct debit went up without anybody asking me
membership got cancelled without anyone asking me
results from the blood draw on Tuesday in yet?
Take the onion rings off the order I just placed please
bought the season pass, nothing unlocked
plumber was due between 8 and 12, it's 2 pm
transcript still missing the summer chemistry credits
send me another card reader, this one is dead
the cashback promised in the shop isn't on the invoice
what's still missing from the housing benefit application
am I able to bring a guest on the tier I have""".splitlines()

VOLATILE_BY_NO_RULE = """\
When's the next free slot at the registration office
Is the M4 line running normally again
whens the next base rate decision
how's the pollen count outside
Which station still has bikes near Waterloo?""".splitlines()


@pytest.mark.parametrize("text", PERSONAL_BY_NO_RULE)
def test_what_is_personal_in_all_likelihood_is_never_cached_unless_the_route_shares_it(text: str) -> None:
    assert by_rules(reading_of(text)) == ""
    assert judged(ask(text)) == Cacheability("none", "personal")
    assert judged(ask(text, policy=CachePolicy(personal="share"))) == Cacheability("semantic", "")


@pytest.mark.parametrize("text", VOLATILE_BY_NO_RULE)
def test_what_is_volatile_in_all_likelihood_is_never_cached_whatever_the_route_shares(text: str) -> None:
    assert by_rules(reading_of(text)) == ""
    for personal in ("bypass", "share"):
        assert judged(ask(text, policy=CachePolicy(personal=personal))) == Cacheability("none", "volatile")


@pytest.mark.parametrize("text", PERSONAL)
def test_what_depends_on_who_asks_is_never_cached(text: str) -> None:
    assert judged(ask(text)) == Cacheability("none", "personal")


@pytest.mark.parametrize("text", VOLATILE)
def test_what_is_true_only_for_a_moment_is_never_cached(text: str) -> None:
    assert judged(ask(text)) == Cacheability("none", "volatile")


@pytest.mark.parametrize("text", FOLLOW_UPS)
def test_a_follow_up_without_its_context_is_never_cached(text: str) -> None:
    assert judged(ask(text)) == Cacheability("none", "follow-up")


@pytest.mark.parametrize("text", FOR_EVERYBODY)
def test_a_question_for_everybody_may_be_served_semantically(text: str) -> None:
    assert judged(ask(text)) == Cacheability("semantic", "")


def test_personal_is_found_at_either_end_of_a_long_text() -> None:
    filling = "The report follows. " * 200
    assert len(filling) > LONGEST_QUESTION
    for text in (f"Where is my parcel? {filling}", f"{filling} Where is my parcel?"):
        assert judged(ask(text)) == Cacheability("none", "personal")


def test_a_personal_question_is_personal_in_any_turn() -> None:
    earlier = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    assert judged(ask(messages=[*earlier, {"role": "user", "content": "Where is my parcel?"}])).reason == "personal"


def test_no_personal_volatile_or_follow_up_trap_of_our_own_gets_past() -> None:
    kinds = {"personal", "volatile", "follow-up"}
    traps = [trap for trap in read(FAQ / "traps.jsonl") if trap["kind"] in kinds]
    assert len(traps) > 60
    assert [trap["text"] for trap in traps if judged(ask(trap["text"])).level != "none"] == []


def test_hardly_any_faq_question_of_our_own_is_kept_out_of_the_cache() -> None:
    items = read(FAQ / "questions.jsonl")
    texts = [text for item in items for text in (item["question"], *item["paraphrases"])]
    kept_out = [text for text in texts if judged(ask(text)).level != "semantic"]
    assert len(texts) > 1000
    assert len(kept_out) <= len(texts) * 0.01


@given(st.text(max_size=200))
def test_any_text_gets_a_level_and_all_but_semantic_say_why(text: str) -> None:
    found = judged(ask(text))
    assert found.level == LEVELS[found.reason]
    assert (found.reason == "") == (found.level == "semantic")
    assert judged(ask(text)) == found


def test_the_rules_look_at_a_bounded_part_of_a_long_text() -> None:
    """A huge text must not hold up the event loop: its middle is not looked at, and it is served exactly only."""
    filling = "The report follows. " * 200
    assert judged(ask(f"{filling} Where is my parcel? {filling}")) == Cacheability("exact", "long")


@pytest.mark.parametrize("rule", [is_personal, is_volatile, is_follow_up])
def test_a_rule_finds_nothing_in_nothing(rule: Any) -> None:
    assert rule("") is False


def test_the_list_of_reasons_is_closed_and_each_has_one_level() -> None:
    assert set(LEVELS) == set(get_args(Reason))
    assert set(LEVELS.values()) == set(get_args(Level))
    assert [reason for reason, level in LEVELS.items() if level == "semantic"] == [""]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("How much does express delivery cost?", "price"),
        ("Is there a student discount?", "price"),
        ("What is your refund policy?", "policy"),
        ("How many days do I have to send it back?", "policy"),
        ("How do I connect the printer?", "faq"),
        ("", "faq"),
    ],
)
def test_prices_and_policies_are_told_from_other_questions(text: str, found: str) -> None:
    assert content_class(text) == found


def test_an_older_answer_to_a_question_is_not_changed_by_what_was_judged_before_it() -> None:
    texts = [*PERSONAL, *VOLATILE, *FOLLOW_UPS, *FOR_EVERYBODY]
    forwards = [judged(ask(text)) for text in texts]
    backwards = [judged(ask(text)) for text in reversed(texts)]
    assert forwards == backwards[::-1]
