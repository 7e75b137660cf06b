"""Which differences between two questions block, however near their vectors are."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.signals import mismatch
from cache.traits import packed, traits, unpacked
from cache.vocabulary import stem
from tests.running import ROOT

QUESTIONS = ROOT / "data" / "faq" / "questions.jsonl"
TEXTS = [
    text
    for line in QUESTIONS.read_text(encoding="utf-8").splitlines()
    for item in [json.loads(line)]
    for text in (item["question"], *item["paraphrases"])
]

NUMBER = """\
How do I return an item within 14 days? | How do I return an item within 30 days?
price of the 128 GB model | price of the 256 GB model
Is there a discount? | Is there a 20 % discount?
How do I add a second line? How much is 1.5 GB? | How do I add a second line? How much is 2.5 GB?
Can two people share a plan? | Can three people share a plan?
What does a one-year contract cost? | What does a two-year contract cost?
Can I return it within two weeks? | Can I return it within 15 days?
How do I set an alarm in 5 minutes? | How do I set an alarm in 5 hours?
Which vaccine is due at 6 months? | Which vaccine is due at six years?
How do I divide 10 by 2? | How do I divide 2 by 10?
What does error E18 mean? | What does error E81 mean?
What is in section 4.2? | What is in section 2.4?
Is the third floor open? | Is the fifth floor open?
Does the office open at 8 am? | Does the office open at 8 pm?
Who was Henry VIII? | Who was Henry VII?
What is on 1/2/2024? | What is on 2/1/2024?
What does a single room cost? | What does a double room cost?
How many people live in a city of 20,000? | How many people live in a city of 200,000?
What do I get after 4 years? | What do I get after fourteen years?""".splitlines()

POLARITY = """\
How do I turn on dark mode? | How do I turn off dark mode?
How do I switch the heating on? | How do I switch the heating off?
How do I subscribe to the newsletter? | How do I unsubscribe from the newsletter?
Can I bring a dog? | Can I not bring a dog?
What if the app is available? | What if the app isn't available?
How do I add a user? | How do I remove a user?
How do I get paper bills? | How do I stop getting paper bills?
I want the newsletter | I don't want the newsletter
How do I upgrade my plan? | How do I downgrade my plan?
How do I turn the volume up? | How do I turn the volume down?
What happens if I pay early? | What happens if I pay late?
How do I lock my card? | How do I unlock my card?
How do I log in? | How do I log out?
How do I delete a profile? | How do I bring back a deleted profile?
How do I pause my membership? | How do I end my membership?
How do I open a port? | How do I close a port?
How do I resume home internet after a pause? | How do I pause home internet while I'm away?
How do I open a closed port? | How do I close a port?
How do I lower the monthly limit? | upping the monthly maximum
Allow Wi-Fi again for one blocked device | Deny Wi-Fi to one device
Which plans come with a contract? | Which plans come without a contract?
Can I bring a friend who is a member? | Can I bring a friend who isn't a member?
Which dishes can dogs eat? | Which dishes can't dogs eat?
How do I encrypt a disk? | How do I decrypt a disk?
Are non-residents taxed here? | Are residents taxed here?
Does my dog bark when I leave? | Does my dog stop barking when I leave?
Is it cheaper in summer? | Is it more expensive in summer?
I blocked him by mistake, how do I unblock him? | How do I block him so that he cannot call?
How do I keep the cake from rising? | How do I make the cake rise?
My soup is too thin | My soup is too thick
The letters are too small | Can you make the letters smaller?
How do I make the text in the app smaller? | increase text size
how to make photos smaller | How do I enlarge a photo?
make the volume higher | reduce the volume
How do I decrease the sensitivity of the sensor? | make the sensor more sensitive
turn on the login with a code | login with a code - how to turn it of
Which drinks are sugar-free? | Which drinks contain sugar?
I want to borrow money from a friend | I want to lend money to a friend
What are the advantages of a lease? | What are the disadvantages of a lease?
Why does the cat eat grass? | Why doesn't the cat eat grass?
Who should apply? | Who should not apply?
How do I check a box in a form? | How do I uncheck a box in a form?
Who inherits from a childless couple? | Who inherits from a couple with children?
Where do I get on the tram? | Where do I get off the tram?
What if I accept the terms? | What if I do not accept the terms?
Is the exam before the holidays? | Is the exam after the holidays?""".splitlines()

ENTITY = """\
Do you accept PayPal? | Do you accept Klarna?
How do I install the app on Windows? | How do I install the app on a Mac?
Do you ship to Norway? | Do you ship to Brazil?
How do I reset the camera? | How do I reset the thermostat?
opening hours of the leeds store | opening hours of the bristol store
Can I pay with a credit card? | Can I pay with a debit card?
Is support open on Mondays? | Is support open on Fridays?
How much is it per week? | How much is it per year?
What does a red light mean? | What does a green light mean?
How do I peel a mango? | How do I peel a pomegranate?
How tall is Mount Elbrus? | How tall is Mount Kenya?
How do I read a file in Python? | How do I read a file in Rust?
Who founded the city of Leipzig? | Who founded the city of Leiden?""".splitlines()

ROLE = """\
How do I move data from Dropbox to Drive? | How do I move data from Drive to Dropbox?
switch monthly -> annual billing | switch annual -> monthly billing
How do I switch from monthly to annual billing? | How do I switch from annual to monthly billing?
Can a home customer become a business customer? | Can a business customer become a home customer?
Can a tenant end the lease? | Can the landlord ask the tenant to end the lease?
How do I send money to a friend? | How does a friend send money to me?
Can a seller cancel the order of a buyer? | Can a buyer cancel the order of a seller?
What is the discount for me? | What is the discount for a friend?
Can I use a case of Apple instead of Larkspur? | Can I use a case of Larkspur instead of Apple?
How do I convert a string to a list? | How do I convert a list to a string?
How much is 20 dollars in euros? | How much is 20 euros in dollars?
Can a doctor refuse a patient? | Can a patient refuse a doctor?
How do I invite someone to a chat? | Someone invited me to a chat, how do I join?
My brother lent me a car | I lent my brother a car
Is the driver paid by the guide? | Does the driver pay the guide?
When may a landlord cancel? | When may a tenant cancel?
Why did Spain attack Portugal? | Why did Portugal attack Spain?
May my employer end the contract? | May I end the contract with my employer?
How are sheep protected from dogs? | How are dogs protected from sheep?
Did Caesar defeat Pompey? | Did Pompey defeat Caesar?
Can humans infect bats? | Can bats infect humans?
When was Prussia part of Germany? | When was Germany part of Prussia?
Who works in an office rather than at home? | Who works at home rather than in an office?""".splitlines()

LANGUAGE = """\
How do I change my password? | Wie ändere ich mein Passwort?
Where can I see my bills? | ¿Dónde puedo ver mis facturas?
How do I cancel the contract? | Comment puis-je résilier le contrat ?
How do I cancel the contract? | Como posso cancelar o contrato?
¿Cómo puedo cancelar mi contrato? | Como posso cancelar o meu contrato?
What are the opening hours? | Quali sono gli orari della biblioteca e dove posso trovarla?
Is the shop open on Sunday? | Is de winkel op zondag open en hoe laat, ik wil het niet missen?
How do I get a refund? | Jak mogę dostać zwrot pieniędzy?
How do I get a refund? | Как мне вернуть деньги?
How do I get a refund? | 返金するにはどうすればいいですか
How do I get a refund? | 如何退款？
How do I get a refund? | كيف أسترد أموالي؟
Is there a discount for students? | Gibt es a discount für Studenten, bitte?""".splitlines()

SAME = """\
first invoice too high?? | Why is the first bill higher than the following ones?
opening bill bigger than expected | first invoice too high??
How do I reset my password? | How can I reset my password?
How do I reset my password? | I forgot my password, what now?
What does shipping cost? | How much is shipping?
How do I cancel my subscription? | I want to end my subscription
Where can I see my invoices? | Where do I find my bills?
Do you ship abroad? | Is international delivery possible?
How do I delete my account? | Steps for removing an account
How do I turn on notifications? | How are notifications enabled?
How do I switch notifications off? | Where do I disable notifications?
change delivery address | How do I update the shipping address?
What are your opening hours? | When do you open and close?
How do I reset the router's pasword? | How do I reset the router's password?
Is WLAN included? | Is wi-fi included?
Two users per plan? | 2 users per plan?
Can’t I log in twice? | Can't I log in twice?
How do I add a card to my account? | How can a card be added to an account?
Don't you ship to Norway? | Do you ship to Norway?
Is it not possible to pay in cash? | Is it possible to pay in cash?
I can't log in to my account | How do I log in to my account?
I am unable to change my address | I want to change my address
My card isn't working | Why does my card not work?
The parcel has not arrived yet | I am still waiting for my parcel
My payment didn't go through | My payment failed
I don't know how to cancel my plan | How do I cancel my plan?
I sent it 2 days ago | I sent it a couple of days ago
Can I return it within 2 weeks? | Can I return it within 14 days?
I am 100% sure it was not me | It was not me
I have asked a hundred times: when do you open? | When do you open?
How many weeks are in a year? | How many weeks does one year have?
It costs 1,000 dollars a month | It costs 1000 dollars monthly
What is sixty-four plus two? | What is 64 plus 2?
the 2nd letter of the alphabet | the second letter of the alphabet
Does the staff clean the pool? | Is the pool cleaned by the staff?
In Python, how do I reverse a list? | How do I reverse a list in Python?
How do I move a file from A to B? | How do I move a file to B from A?
Where can I buy a lamp? | Where do you sell lamps?
How do I watch a film without ads? | How do I avoid ads while I watch a film?
Is there a way to pause or stop a video? | How do I pause and resume a video?
How do I stop getting letters? | stop sending letters
How do I search mail without getting a reply? | How do I search mail without a reply?
What is the difference between a crow and a raven? | How do ravens and crows differ?
My phone's pin is locked | The pin of my phone is locked
How do I stop the phone from ringing? | How do I keep the phone from ringing?
Los Angeles to Las Vegas by bus | bus from Los Angeles to Las Vegas
wifi pasword | wifi password
crème brûlée recipe | recipe for crème brulee""".splitlines()

QUIET = """\
hilfe | help
ok | gracias
reset pin | pin reset bitte
Zürich | Zurich
Do you serve café au lait? | Do you serve cafe au lait?""".splitlines()


def pair(line: str) -> tuple[str, str]:
    left, right = line.split(" | ")
    return left, right


@pytest.mark.parametrize("line", NUMBER)
def test_another_number_blocks(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) == mismatch(right, left) == "number"


@pytest.mark.parametrize("line", POLARITY)
def test_the_opposite_blocks(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) == mismatch(right, left) == "polarity"


@pytest.mark.parametrize("line", ENTITY)
def test_another_thing_blocks(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) == mismatch(right, left)
    assert mismatch(left, right) in ("exchange", "entity")


@pytest.mark.parametrize(
    "line",
    [
        "The lamp on the box is glowing red, what's wrong? | The lamp on the box is glowing orange, what's wrong?",
        "Do you accept Klarna? | Do you accept PayPal?",
        "Can I pay by credit card? | Can I pay by debit card?",
        "How do I read a file in Python? | How do I read a file in Rust?",
    ],
)
def test_one_alternative_in_the_place_of_another_among_the_same_words_is_an_exchange(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) == mismatch(right, left) == "exchange"


@pytest.mark.parametrize(
    "line",
    ["Do you accept Klarna? | Is PayPal one of the ways to settle a bill?", "Is my parcel red? | Is my parcel late?"],
)
def test_another_alternative_among_other_words_is_no_exchange(line: str) -> None:
    assert mismatch(*pair(line)) != "exchange"


@pytest.mark.parametrize("line", ["a higher limit | a smaller limit", "a larger limit | a lower limit"])
def test_more_and_less_of_a_thing_are_opposites_in_any_words(line: str) -> None:
    assert mismatch(*pair(line)) == "polarity"


@pytest.mark.parametrize("line", ROLE)
def test_swapped_roles_block(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) == mismatch(right, left) == "role"


@pytest.mark.parametrize("line", LANGUAGE)
def test_another_language_blocks(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) == mismatch(right, left) == "language"


@pytest.mark.parametrize("line", QUIET)
def test_a_few_words_are_in_no_certain_language(line: str) -> None:
    assert mismatch(*pair(line)) != "language"


@pytest.mark.parametrize("line", SAME)
def test_other_words_for_the_same_do_not_block(line: str) -> None:
    assert mismatch(*pair(line)) is None


ANY_TEXT = st.sampled_from(TEXTS) | st.text(max_size=80)
WORDS = st.lists(st.sampled_from(sorted({word for text in TEXTS[:300] for word in text.split()})), max_size=14).map(
    " ".join
)


@given(ANY_TEXT | WORDS, ANY_TEXT | WORDS)
def test_any_two_texts_have_one_answer_whichever_comes_first(left: str, right: str) -> None:
    assert mismatch(left, right) == mismatch(right, left)
    assert mismatch(left, right) in (None, "language", "number", "polarity", "role", "exchange", "entity")


@given(ANY_TEXT | WORDS)
def test_a_text_does_not_differ_from_itself_in_any_spacing_and_ending(text: str) -> None:
    assert mismatch(text, text) is None
    assert mismatch(text, f"  {text} ") is None


@given(st.sampled_from(TEXTS) | WORDS, st.sampled_from("?!."))
def test_case_and_the_last_mark_make_no_difference(text: str, mark: str) -> None:
    assert mismatch(text, text.upper()) is None
    assert mismatch(text.lower(), text) is None
    assert mismatch(text.rstrip("?!."), text.rstrip("?!.") + mark) is None


def test_a_mismatch_that_blocks_is_named_before_one_that_only_may_matter() -> None:
    assert mismatch("Do I pay 5 euros with PayPal?", "Do I pay 6 euros with Klarna?") == "number"
    assert mismatch("How do I turn on alerts in Firefox?", "How do I turn off alerts in Opera?") == "polarity"


@pytest.mark.parametrize(
    "forms",
    [
        "delete deletes deleted deleting",
        "cancel cancels cancelled cancelling",
        "copy copies copied copying",
        "price prices",
        "charge charges charged charging",
        "pass passes passed",
        "address addresses",
        "plan plans planned planning",
    ],
)
def test_the_forms_of_a_word_have_one_stem(forms: str) -> None:
    assert len({stem(word) for word in forms.split()}) == 1


@pytest.mark.parametrize("words", ["add ad", "bill ball", "card care"])
def test_different_words_have_different_stems(words: str) -> None:
    assert len({stem(word) for word in words.split()}) == 2


@pytest.mark.parametrize(
    "text", ["How do I turn off 2FA for 3 of my 12 devices?", "", "¿Dónde está?", "I'm not, you are"]
)
def test_the_traits_of_a_text_can_be_packed_and_unpacked(text: str) -> None:
    assert unpacked(packed(traits(text))) == traits(text)


# --- signs that words leave out --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "What is the storage limit at 20 °C? | What is the storage limit at -20 °C?",
        "What is the storage limit at +20 °C? | What is the storage limit at −20 °C?",
        "What is the storage limit at 20 °C? | What is the storage limit at 20 °F?",
        "How far may I drive, 20 km? | How far may I drive, 20 mi?",
        "Is a deposit of $100 refunded? | Is a deposit of €100 refunded?",
        "What is the fee in € for a transfer abroad? | What is the fee in pounds for a transfer abroad?",
        "Is a 5 mW laser allowed on board? | Is a 5 MW laser allowed on board?",
    ],
)
def test_another_sign_unit_or_currency_is_another_number(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) == mismatch(right, left) == "number"


@pytest.mark.parametrize(
    "line",
    [
        "How do I install C++ on Windows? | How do I install C# on Windows?",
        "How do I install C# on Windows? | How do I install C on Windows?",
        "How do I renew the A+ plan online? | How do I renew the A- plan online?",
        "What does == mean in Python code? | What does != mean in Python code?",
        "What is 5 + 3 in total? | What is 5 - 3 in total?",
        "What is 5+3? | What is 5*3?",
        "What is (a+b)*2? | What is (a*b)+2?",
        "When is x>=y true? | When is x<=y true?",
        "What if the pressure is > the limit? | What if the pressure is < the limit?",
        "What does the ☃ symbol mean on the package? | What does the ☂ symbol mean on the package?",
        "What does the word schon mean in the contract? | What does the word schön mean in the contract?",
        "What does the word ሰላም mean in the contract? | What does the word ውሃን mean in the contract?",
    ],
)
def test_a_sign_in_the_place_of_another_exchanges_what_is_meant(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) == mismatch(right, left) == "exchange"


@pytest.mark.parametrize(
    "line",
    [
        "Storage limit at -20 °C | Storage limit at minus 20 degrees Celsius",
        "Is a deposit of $100 refunded? | Is a deposit of 100 dollars refunded?",
        "How do I cancel Disney+? | How do I cancel Disney plus?",
        "Does it arrive in 10 - 20 days? | Does it arrive in 10 to 20 days?",
        "Where is my card 😊 | Where is my card 🙏",
        "Help -- where is my card?! | Where is my card?",
        "When I try to top up nothing happens | Nothing happens in euros when I top up",
        "How do I join with a Google+ account? | How do I join Hangouts in Gmail?",
        "How do I switch home -> business? | How do I switch from home to business?",
        "Terms & conditions of the card | Terms and conditions of the card",
        "Как сбросить пароль? | Как мне сбросить пароль?",
        "Is the resumé of the course free? | Is the resume of the course free?",
    ],
)
def test_signs_that_say_what_words_say_and_those_that_say_nothing_do_not_block(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) in (None, "entity")
    assert mismatch(right, left) in (None, "entity")


# --- which of them, and what about them ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "How do I delete all photos from the cloud? | How do I delete some photos from the cloud?",
        "How do I replace the first match in a string? | How do I replace every match in a string?",
        "Does the policy cover one driver? | Does the policy cover any driver?",
        "What is the cheapest way to get to Vienna? | What is the fastest way to get to Vienna?",
        "What is the oldest university in Italy? | What is the biggest university in Italy?",
        "When do I hand in the thesis? | Where do I hand in the thesis?",
        "Why does bread rise? | When does bread rise?",
        "How tall is the oak wardrobe? | How wide is the oak wardrobe?",
        "How long should I water the lawn? | How often should I water the lawn?",
        "Is the blue jacket available in medium? | Is the black jacket available in medium?",
        "What is the width of the desk in inches? | What is the width of the desk in centimetres?",
        "How do I get a parking permit as a student? | How do I get a parking permit as an employee?",
    ],
)
def test_others_of_the_same_things_and_other_questions_about_them_are_exchanges(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) == mismatch(right, left) == "exchange"


@pytest.mark.parametrize(
    "line",
    [
        "When will my card arrive? | How long does my card take to arrive?",
        "When does my new card arrive? | How soon does my new card arrive?",
        "What is the fastest way to pay? | What is the quickest way to pay?",
        "Who do I report a lost card to? | Where do I report a lost card?",
        "How do I delete all my photos? | How do I delete every photo?",
        "Where can I see my statement? | How can I see my statement?",
        "When I top up, why does it fail? | Why does it fail when I top up?",
    ],
)
def test_what_asks_for_the_same_in_other_words_is_no_exchange(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) != "exchange"
    assert mismatch(right, left) != "exchange"


@pytest.mark.parametrize(
    "line",
    [
        "How fast is the train? | How big is the train?",
        "How much does a wash cost? | How long does a wash take?",
        "How many guests may stay in the cabin? | How long may guests stay in the cabin?",
        "Who signs the lease? | When is the lease signed?",
        "What is the temperature of the oven in celsius? | What is the temperature of the oven in fahrenheit?",
        "How heavy is the box in kilograms? | How heavy is the box in ounces?",
    ],
)
def test_another_measure_or_circumstance_of_the_same_thing_is_an_exchange(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) == mismatch(right, left) == "exchange"


@pytest.mark.parametrize(
    "line",
    [
        "How many days may guests stay? | How long may guests stay?",
        "How much time does a wash take? | How long does a wash take?",
        "How much longer does a wash take? | How long does a wash take?",
        "Friends who visit me need a badge, how? | How do friends who visit me get a badge?",
    ],
)
def test_the_same_measure_in_other_words_is_no_exchange(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) != "exchange"
    assert mismatch(right, left) != "exchange"


@pytest.mark.parametrize(
    "line",
    [
        "May I use the locker until Friday? | May I use the locker from Friday?",
        "What happens if I renew the lease? | What happens unless I renew the lease?",
        "Can I swap seats before it starts? | Can I swap seats once it has started?",
        "Do we pay the deposit in advance? | Do we pay the deposit afterwards?",
        "Can I swap shifts while on leave? | Can I swap shifts after my leave?",
        "Is the internship paid? | Is the internship unpaid?",
        "Is it cheaper to book early? | Is it cheaper to book last minute?",
        "What do I need to renew a visa? | What do I need to apply for a visa?",
        "Are there trains on weekdays? | Are there trains on Sundays?",
        "Is the whole kit insured? | Is a single part of the kit insured?",
    ],
)
def test_another_time_or_condition_is_the_opposite(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) == mismatch(right, left) == "polarity"


@pytest.mark.parametrize(
    "line",
    [
        "I need a van from 2 May until 4 May | I need a van from 2 May to 4 May",
        "Can I keep the van until Friday? | May I have the van from today to Friday?",
        "Once I have paid, what comes next? | What comes next after I have paid?",
        "Is it ok to eat once a day? | Can I eat one time a day?",
    ],
)
def test_the_same_time_in_other_words_is_no_opposite(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) != "polarity"
    assert mismatch(right, left) != "polarity"


def test_whose_things_they_are_is_a_role() -> None:
    assert mismatch("Can my tutor see my grades?", "Can I see my tutor's grades?") == "role"
