"""Settings: every mistake at once, each with its place; secrets only by reference; defaults that work."""

import re
import tomllib
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from app import settings as module
from app.settings import Settings, SettingsInvalid, from_mapping, load
from router.catalogue import Strategy

ROOT = Path(__file__).parent.parent.parent
KEYS = {"OPENAI_API_KEY": "sk-real", "GROQ_API_KEY": "gsk-real"}


def problems_of(text: str, **environment: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as raised:
        from_mapping(tomllib.loads(text, parse_float=Decimal), "test", environment)
    return raised.value.problems


def test_without_a_file_and_a_key_the_gateway_simulates() -> None:
    settings = load(None, {})
    assert settings.simulates
    assert list(settings.models) == ["gpt-5", "gpt-5-mini", "gpt-5-nano", "text-embedding-3-small"]


def test_an_openai_key_in_the_environment_is_enough_to_front_openai() -> None:
    settings = load(None, {"OPENAI_API_KEY": "sk-real"})
    assert not settings.simulates
    assert settings.providers["openai"].base_url == "https://api.openai.com/v1"
    assert settings.secrets == {"openai": "sk-real"}


def test_the_example_file_is_valid() -> None:
    settings = load(ROOT / "thriftgate.example.toml", KEYS)
    assert settings.teams["support"].apps["faq-bot"].budget is not None


def test_the_example_file_shows_every_setting() -> None:
    text = (ROOT / "thriftgate.example.toml").read_text(encoding="utf-8")
    structs = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    names = {
        field.name
        for kind in structs
        if kind not in (msgspec.Struct, Settings)
        for field in msgspec.structs.fields(kind)
    }
    # The buckets of a price override that the example does not need, and the simulation, which stands in comments.
    missing = {name for name in names if not re.search(rf"\b{name}\b", text)} - {"cache_write_5m", "cache_write_1h"}
    assert not missing


def test_all_mistakes_are_reported_at_once_with_their_places() -> None:
    found = problems_of(
        """
        [server]
        prot = 8080
        max_body_mib = "big"
        [models."gpt-5"]
        tier = "best"
        deployments = [{ provider = "openai" }]
        [routes.default]
        strategy = "cheapest"
        [teams.support.budget]
        period = "year"
        """
    )
    assert sorted(problem.partition(":")[0] for problem in found) == [
        "models.gpt-5.tier",
        "routes.default.models",
        "routes.default.strategy",
        "server.max_body_mib",
        "server.prot",
        "teams.support.budget.period",
        "teams.support.budget.usd",
    ]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('ttl_s = "1 day"', 'ttl_s: must be a whole number, not "1 day"'),
        ("min_askers = 2.5", "min_askers: must be a whole number, not 2.5"),
        ('max_wrong_per_hit = "1%"', 'max_wrong_per_hit: must be a number, not "1%"'),
        ("max_wrong_per_hit = 1", "max_wrong_per_hit: must be from 0.0001 to 0.2 (0.01 is 1 %), not 1"),
        ("knowledge_version = 2", "knowledge_version: must be a text, not 2"),
        ('writers = "site"', 'writers: must be an array, such as [...], not "site"'),
        ('scope_fields = ["usr"]', 'scope_fields: each must be one of "user", "metadata", not [\'usr\']'),
        (
            "ttl_by_class = { prices = 1 }",
            'ttl_by_class: names must be one of "price", "policy", "faq", not {\'prices\': 1}',
        ),
        ('ttl_by_class = { price = "1 h" }', "ttl_by_class: each must be a whole number, not {'price': '1 h'}"),
    ],
)
def test_a_value_of_another_form_is_told_which_one_is_wanted(setting: str, said: str) -> None:
    text = f'[routes.r]\nmodels = ["gpt-5"]\n[routes.r.cache]\naudit_share = 7\n{setting}'
    assert f"routes.r.cache.{said}" in problems_of(text)
    assert "routes.r.cache.audit_share: must be from 0.001 to 1, not 7" in problems_of(text)


def test_a_misspelt_setting_is_answered_with_the_right_one() -> None:
    assert problems_of("[server]\nprot = 1") == ["server.prot: no such setting; did you mean `port`?"]


def test_a_value_outside_a_list_names_the_list() -> None:
    found = problems_of('[routes.default]\nmodels = ["gpt-5"]\nstrategy = "cheapest"')
    names = ", ".join(f'"{name}"' for name in Strategy.__args__)
    assert '"balanced", "cost-first"' in names
    assert found == [f'routes.default.strategy: must be one of {names}, not "cheapest"']


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[providers.openai]\nbase_url = "https://x/v1"\napi_key = "sk-very-secret"', "providers.openai.api_key"),
        ('[providers.openai]\nbase_url = "https://x/v1"\napi_key = "env:NOT_SET"', "providers.openai.api_key"),
        ('[providers.openai]\nbase_url = "https://x/v1"\napi_key = "file:/does/not/exist"', "providers.openai.api_key"),
    ],
)
def test_a_secret_is_a_reference_and_is_never_repeated(text: str, place: str) -> None:
    (problem,) = problems_of(text)
    assert problem.startswith(place)
    assert "sk-very-secret" not in problem


def test_a_key_that_no_header_can_carry_is_refused_at_start() -> None:
    text = '[providers.openai]\nbase_url = "https://x/v1"\napi_key = "env:KEY"'
    (problem,) = problems_of(text, KEY="sk-schlüssel")
    assert problem == "providers.openai.api_key: the environment variable KEY holds characters that no key has"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[routes.default]\nmodels = ["gpt-6000"]', "routes.default.models: no model `gpt-6000`"),
        ('[models.x]\ntier = "mid"\ndeployments = [{ provider = "nobody" }]', "models.x.deployments[0].provider"),
        ('[models.auto]\ntier = "mid"\ndeployments = [{ provider = "simulated" }]', "models.auto: `auto` is the name"),
        ("[teams.a.budget]\nusd = -1", "teams.a.budget.usd: must be 0 or more"),
        ("[teams.a.budget]\nusd = 1\nmid_from = 0.9\neconomy_from = 0.5", "teams.a.budget: needs 0 < mid_from"),
        ('[teams.a]\nbaseline = "nope"', "teams.a.baseline: no model `nope`"),
        ('[providers.p]\nbase_url = "ftp://x"', "providers.p.base_url: must be an http(s) URL"),
        ('[routes.r]\nmodels = ["gpt-5"]\nexplore_share = nan', "routes.r.explore_share: must be a finite number"),
        ("[teams.a.budget]\nusd = nan", "teams.a.budget.usd: must be a finite number"),
        ("[teams.a.budget]\nusd = 1\nsoft_from = inf", "teams.a.budget.soft_from: must be a finite number"),
        ('[routes.r]\nmodels = ["gpt-5"]\njudge_share = 2.0', "routes.r.judge_share: must be at most 1"),
        (
            '[routes.r]\nmodels = ["gpt-5"]\ncache = { min_askers = 17 }',
            "routes.r.cache.min_askers: must be at most 16, not 17",
        ),
        ('[routes.r]\nmodels = ["gpt-5"]\nclasses = { code = [] }', "routes.r.classes.code: at least one model"),
        (
            '[routes.r]\nmodels = ["gpt-5"]\nstrategy = "weighted"\nweights = { "gpt-5" = -1 }',
            "routes.r.weights: must be 0 or more",
        ),
        (
            '[routes.r]\nmodels = ["gpt-5"]\nstrategy = "weighted"\nweights = { "gpt-5" = nan }',
            "routes.r.weights: must be a finite number",
        ),
        ('[teams.a.service_level]\naction = "throttle"', "teams.a.service_level: give p95_ms, error_rate or both"),
        (
            '[teams.a.service_level]\naction = "throttle"\nerror_rate = 5',
            "teams.a.service_level.error_rate: must be from 0",
        ),
        ('[teams.a.service_level]\naction = "throttle"\np95_ms = 0', "teams.a.service_level.p95_ms: must be more"),
        (
            '[models.m]\ntier = "mid"\nmax_output_tokens = 0\ndeployments = [{ provider = "simulated" }]',
            "models.m.max_output_tokens: must be 1 or more",
        ),
        ('[secrets]\nopenai = "sk"', "secrets: is not a table of the file"),
        ("server = 3", "server: must be a table"),
    ],
)
def test_what_no_single_field_can_say_is_checked_too(text: str, said: str) -> None:
    assert any(problem.startswith(said) for problem in problems_of(text))


def test_a_negative_price_is_named_by_its_place() -> None:
    text = """
    [models.m]
    tier = "mid"
    [[models.m.deployments]]
    provider = "simulated"
    list_price = { input = -1.0, output = 2.0 }
    """
    assert any("list_price" in problem for problem in problems_of(text))


def test_a_file_that_is_no_toml_says_where(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[server\nport = 1")
    with pytest.raises(SettingsInvalid, match="line 1"):
        load(tmp_path / "bad.toml", {})
