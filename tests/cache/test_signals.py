"""Which differences between two questions block, however near their vectors are."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.signals import mismatch, stem
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
What does a one-year contract cost? | What does a two-year contract cost?""".splitlines()

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
How do I open a port? | How do I close a port?""".splitlines()

ENTITY = """\
Do you accept PayPal? | Do you accept Klarna?
How do I install the app on Windows? | How do I install the app on a Mac?
Do you ship to Norway? | Do you ship to Brazil?
How do I reset the camera? | How do I reset the thermostat?
opening hours of the leeds store | opening hours of the bristol store
Can I pay with a credit card? | Can I pay with a debit card?
Is support open on Mondays? | Is support open on Fridays?
How much is it per week? | How much is it per year?
What does a red light mean? | What does a green light mean?""".splitlines()

ROLE = """\
How do I move data from Dropbox to Drive? | How do I move data from Drive to Dropbox?
switch monthly -> annual billing | switch annual -> monthly billing
How do I switch from monthly to annual billing? | How do I switch from annual to monthly billing?
Can a home customer become a business customer? | Can a business customer become a home customer?
Can a tenant end the lease? | Can the landlord ask the tenant to end the lease?
How do I send money to a friend? | How does a friend send money to me?
Can a seller cancel the order of a buyer? | Can a buyer cancel the order of a seller?
What is the discount for me? | What is the discount for a friend?
Can I use a case of Apple instead of Larkspur? | Can I use a case of Larkspur instead of Apple?""".splitlines()

SAME = """\
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
How do I add a card to my account? | How can a card be added to an account?""".splitlines()


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
    assert mismatch(left, right) == mismatch(right, left) == "entity"


@pytest.mark.parametrize("line", ROLE)
def test_swapped_roles_block(line: str) -> None:
    left, right = pair(line)
    assert mismatch(left, right) == mismatch(right, left) == "role"


@pytest.mark.parametrize("line", SAME)
def test_other_words_for_the_same_do_not_block(line: str) -> None:
    assert mismatch(*pair(line)) is None


@given(st.sampled_from(TEXTS), st.sampled_from(TEXTS))
def test_it_does_not_matter_which_of_the_two_comes_first(left: str, right: str) -> None:
    assert mismatch(left, right) == mismatch(right, left)


@given(st.sampled_from(TEXTS) | st.text(max_size=80))
def test_a_text_does_not_differ_from_itself_in_any_case_or_spacing(text: str) -> None:
    assert mismatch(text, text) is None
    assert mismatch(text, f"  {text} ") is None


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
