"""Wordings in which people ask for their own affairs, for this moment, for variety or for what was said before, and
questions for everybody that look like it."""

import pytest

from cache.cacheability import Cacheability, cacheability, is_personal
from cache.reading import Rules, read, rule
from cache.scope import split
from tests.cache.asking import ask


def judged(text: str) -> Cacheability:
    query = ask(text)
    return cacheability(query, split(query.mapping["messages"]))


def kept_out(text: str) -> str:
    found = judged(text)
    return found.reason if found.level == "none" else f"{found.level}, not none"


# --- Who asks -----------------------------------------------------------------------------------------------

ONE_CASE = """\
Was the payment taken twice?
Did the transfer go through?
I wrote to you on Monday. Has it been processed?
Has it come through?
Did you get the documents?
Why did you close our account?
Why was the application turned down?
Why hasn't anybody called me back?
Why do you keep rejecting my transfers?
Has the landlord sent us the keys?
Has Anna approved the leave request?
Did accounting process it?
Where is the order?
Is the loan paid off?
Is the refund for the shoes on its way?
I want to know if the claim has been settled
The tracking says delivered, but the hall is empty
The code you sent me is not accepted
How much is the outstanding amount?
What's the balance on the gift card?
Who logged in to the account last night?
Which desk have they given us?
Nobody has called me back
Which of the invoices are overdue?
How much of the allowance is left?
What were the results of the scan?
Which tariff are we paying for?
When will the plumber be here?
Is anybody working at ours?
Please open the file I uploaded
Read the latest messages from Paula
When is the next collection for my street?
Where is the nearest chemist?
Which pharmacy is close to where I live?
Which restaurants are good around here?
How much is the claim I filed?
Which room is my seminar in?
Is my laptop still under warranty?
When does the warranty on my fridge expire?
Based on my answers, which plan is best?
When is my rehearsal?
Which dentist is my family registered with?
How is my application coming along?
Is my daughter enrolled?
Summarise my notes
Has Tom replied?
The parcel from my aunt and our letters haven't arrived""".splitlines()

OWN_STATE = """\
Which papers do I still have to send you?
Where am I supposed to park?
You charged me for two rooms
Do I qualify for the student rate?
Is there a parcel for me at the desk?
When will I get my money back?
Are there any notes on my file?
Is breakfast included in our booking?""".splitlines()

ERRANDS = """\
Please cancel the booking
Can you confirm that the booking went through?
Could someone look into this?
Kindly lift the block on my card
Remind me to water the plants
Set an alarm for 6:30
Send an email to Paul saying I'm late
Can you move the appointment to Thursday?
please unlock user account meyer
Upgrade me to first class
Send me a copy of the invoice
Please add Ines to the lease""".splitlines()

TELLS_WHO = """\
Do you deliver to Sunny Crescent 12?
Is fibre available in LS6 2AB?
Is a bed free in room 214?
customer no. 4821 here
My surname is Okafor, is the room ready?
The heater is cold. Regards, Maria Lopez
My name is Ada Lovelace and I wrote to you
Mon numéro est le 06 12 34 56 78 merci
I was made redundant, what should I do about the rent?
I feel so lonely
I have 12,000 euros in debt
my salary is 3,100 net, what rent is sensible?
I have panic attacks on trains
My husband drinks too much
I'm 45, can I still learn to ski?""".splitlines()

IN_GENERAL = """\
How long does a refund usually take to reach my account?
What is the difference between my net and my gross salary?
Where is the security code on my card?
What is the fee for replacing my card?
How long does it take to activate my card?
Will my points be lost if I cancel?
If I change my tariff, does my number stay the same?
Am I insured when I lend my car to a friend?
My flight was cancelled, what are my rights?
How does my salary affect my pension?
Is my deposit protected by law?
Does my subscription renew automatically?
Why is my card declined abroad, what are possible reasons?
Somebody used my card. There is a charge on my statement that I don't know, what should I do?
My letter says "deferred". What does that mean?
Where can I see how much data I have left?
How many points do I get per euro?
My cactus is turning yellow. What am I doing wrong?
How many planets have we discovered?
How old is our sun?
Is a standing desk good for my back?
Which camera is best for my next trip?
Which of the plans is best for families?
Did the Romans use concrete?
What is the nearest star to Earth?
Can you check whether this sentence is correct English grammar?""".splitlines()

NUMBERS_OF_NOBODY = """\
What is SHA256?
What am I entitled to under EU261?
What is 10% of 48213?
What is the square root of 15129?
What is 12345 * 678?
Sort 5 3 8 1 9 2 7
What is the color #336699 called?
How do I read 2024-03-15 10:00:00 as a date in Python?
What is new in C# 12?
Who wrote Dr Jekyll and Mr Hyde?
How do I structure an essay of 500-1000 words?""".splitlines()


@pytest.mark.parametrize("text", [*ONE_CASE, *OWN_STATE, *ERRANDS])
def test_what_somebody_would_have_to_look_up_or_do_is_never_cached(text: str) -> None:
    assert kept_out(text) == "personal"


@pytest.mark.parametrize("text", TELLS_WHO)
def test_a_text_that_tells_who_asks_is_never_cached(text: str) -> None:
    assert kept_out(text) == "personal"


@pytest.mark.parametrize("text", [*IN_GENERAL, *NUMBERS_OF_NOBODY])
def test_a_question_for_everybody_may_name_ones_own_things_and_numbers(text: str) -> None:
    assert judged(text) == Cacheability("semantic", "")


@pytest.mark.parametrize("text", ["status of 48213", "where is #482133", "my order is 482133"])
def test_a_number_that_nothing_explains_is_somebodys(text: str) -> None:
    assert kept_out(text) == "personal"


@pytest.mark.parametrize(
    "text", ["Wie viele Urlaubstage habe ich noch?", "Hoeveel punten heb ik nog?", "Ai-je encore des points ?"]
)
def test_what_is_the_case_with_the_one_who_asks_is_personal_in_other_languages_too(text: str) -> None:
    assert kept_out(text) == "personal"


@pytest.mark.parametrize(
    "text",
    [
        "Was muss ich tun, wenn meine Karte weg ist?",
        "¿Dónde encuentro mi número de cliente?",
        "Dove trovo il codice della mia carta?",
        "Mag ik mijn hond meenemen?",
    ],
)
def test_what_one_must_do_is_for_everybody_in_other_languages_too(text: str) -> None:
    assert judged(text) == Cacheability("exact", "other-language")


# --- This moment --------------------------------------------------------------------------------------------

THIS_MOMENT = """\
Who is the mayor of Leeds?
Which Ruby release is the most recent?
What is Nestle trading at?
How much is a litre of petrol?
Tell me whether there will be rain in the evening
When will the website be back up?
When does the new season come out?
Which jobs do you have open?
How are the roads around Denver?
Is the 7.30 train cancelled?
What are the headlines?
Did Liverpool win?
We would be six. Is there a table free?
Is the sauna out of order?
Is there something going on with the mail server?
Is the phone line down in Kent?
Is the ring road congested?
Is the pool still closed?
How many shopping days till christmas?
What is the population of India now?
What's the current two year fixed mortgage rate?
What is the status of the login service?
Is there a power cut in Leeds?
When is kickoff?
Is Monday a bank holiday?
Has the ferry departed?
Any tables free for six?
Any roadworks on the A1?
How much is a flight to Rome?
What has the band released lately?
Who is on call?
Is Peter in the office?
Is the small meeting room free?
How full is the car park?""".splitlines()

ANY_DAY = """\
How do I see today's orders in the app?
Is there a way to see who is logged in right now?
If it's 9 am in Rome, what time is it in London?
Can I order today and collect tomorrow?
Is it still true today that carrots help the eyes?
What is the latest time to check out?
What are the fees of a current account?
How are stock prices formed?
What is the difference between weather and climate?
Is there a problem if I pay late?
How do I update to the latest version?
What is traffic shaping?""".splitlines()


@pytest.mark.parametrize("text", THIS_MOMENT)
def test_what_changes_from_day_to_day_is_never_cached(text: str) -> None:
    assert kept_out(text) == "volatile"


@pytest.mark.parametrize("text", ANY_DAY)
def test_a_day_that_may_be_any_day_makes_nothing_volatile(text: str) -> None:
    assert judged(text) == Cacheability("semantic", "")


# --- What was said before -----------------------------------------------------------------------------------

REPLIES = """\
hmm ok but without nuts?
Perfect, now do it for 2023
And would that be true if I had bought it in the shop rather than online?
Oh, and what about children?
wait, why 14?
same error
still not working
I tried that already
Same question for the other plan
translate to spanish
could you explain the part about interest again
repeat the steps again
change the title to something catchier
add tests to the script
Does the same hold for children?
why so expensive
explain like I'm five
less formal please
what are you saying about the deposit
you explained the second law differently
how did you calculate this
give me the last row
what does step two mean
The first sounds good, but the second seems cheaper
what if I don't?
Do I need both?
I still get the same message
I did it. What now?
Und in Bremen?""".splitlines()

NO_REPLIES = """\
Why does it rain so much in Bergen?
Will it hurt to get a tattoo?
Does it get cold in Lisbon in winter?
Do you mind it when guests bring dogs?
It keeps saying "invalid token", how do I fix the login?
What is the difference between affect and effect? I keep mixing them up
Explain again how photosynthesis works
Explain step 3 of glycolysis
What is the second law of thermodynamics?
Which is better for beginners, Python or Java?
Same day delivery: until when must I order?
More than 20 kg luggage: what does it cost?""".splitlines()


@pytest.mark.parametrize("text", REPLIES)
def test_what_only_a_reply_says_is_a_follow_up(text: str) -> None:
    assert kept_out(text) == "follow-up"


@pytest.mark.parametrize("text", NO_REPLIES)
def test_a_question_that_names_its_subject_is_no_follow_up(text: str) -> None:
    assert judged(text) == Cacheability("semantic", "")


# --- Variety ------------------------------------------------------------------------------------------------

WORKS = """\
I need a catchy name for my podcast
riddle please
name for a startup that sells soap
Any ideas for a birthday present for my dad?
Write a birthday message for a colleague
help me come up with a team name
We open a toy shop. Give us some catchy slogans
Suggest three blog topics on gardening
what should we call our dog
Give me a tongue twister
Write a scene in which two strangers meet""".splitlines()

CHANCE = """\
Draw a winner from Ann, Bo and Cy
Think of a number between 1 and 100
Make up ten fake customers with addresses
Generate some dummy data""".splitlines()


@pytest.mark.parametrize("text", WORKS)
def test_who_wants_one_of_many_good_answers_gets_one_of_its_own(text: str) -> None:
    assert judged(text) == Cacheability("exact", "creative")


@pytest.mark.parametrize("text", CHANCE)
def test_who_wants_chance_or_made_up_data_never_gets_what_another_got(text: str) -> None:
    assert kept_out(text) == "sampling"


@pytest.mark.parametrize(
    "text", ["No subtitles please, which setting is that?", "How do I come up with a research question?"]
)
def test_a_word_for_a_work_alone_asks_for_none(text: str) -> None:
    assert judged(text) == Cacheability("semantic", "")


# --- Rules --------------------------------------------------------------------------------------------------


def test_a_rule_may_ask_for_a_second_word_of_a_text() -> None:
    both = rule("parcel", r"\bparcel\b", beside="my our")
    assert both.holds(read("my parcel"))
    assert not both.holds(read("a parcel"))
    assert Rules(both).hold(read("our parcel"))
    assert not Rules(both).hold(read("a letter of ours"))


def test_a_story_about_a_doctor_names_nobody_but_a_letter_does() -> None:
    assert not is_personal("Who wrote the novel about Dr Zhivago?")
    assert is_personal("Dr Miller wrote that I need new glasses")
