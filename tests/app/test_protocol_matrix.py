"""Every client API before every provider's protocol, capability by capability, as JSON and as a stream: with the
vendors' official SDKs as clients, and providers that take only what the vendors describe. README.md shows what is held
here."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.app.configuration import route
from tests.app.matrix.capabilities import CAPABILITIES, Cell
from tests.app.matrix.clients import CLIENTS, FAILED, Client
from tests.app.matrix.table import cells, markdown, outcome, shown_in
from tests.app.matrix.upstreams import UPSTREAMS
from tests.app.provider import Provider
from tests.running import ROOT, RunningGateway, running_gateway

_LEAVES_TRACES = ("our key refused", "rate limit", "answer cut off")
"""After these a deployment rests for a while."""


@pytest.fixture(scope="module")
def providers() -> Iterator[dict[str, Provider]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(upstream.running()) for name, upstream in UPSTREAMS.items()}


@pytest.fixture(scope="module")
def gateway(
    providers: dict[str, Provider], tmp_path_factory: pytest.TempPathFactory, encoder_folder: object
) -> Iterator[RunningGateway]:
    """One gateway before all of them; each has one model, of its own name."""
    tables = "".join(
        f'[providers.{name}]\nprotocol = "{name}"\nbase_url = "{providers[name].base_url}"\n'
        f'api_key = "env:KEY_OF_{name.upper()}"\nretries = 0\n{upstream.settings}\n'
        f"[providers.{name}.breaker]\nfailure_share = 2\n"
        f'[models.{name}]\ntier = "mid"\nmax_output_tokens = 8000\naccepts = ["image_url", "input_audio"]\n'
        f'[[models.{name}.deployments]]\nprovider = "{name}"\nmodel = "{upstream.model}"\n'
        "list_price = { input = 1, output = 2 }\n"
        for name, upstream in UPSTREAMS.items()
    )
    configuration = tables + route("default", *UPSTREAMS, cache='mode = "off"', allow_downgrade=False)
    environment = {f"KEY_OF_{name.upper()}": upstream.key for name, upstream in UPSTREAMS.items()}
    with running_gateway(tmp_path_factory.mktemp("matrix"), configuration, environment) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def clients(gateway: RunningGateway) -> Iterator[dict[str, Client]]:
    key = gateway.key()
    found = {name: client(gateway.url, key) for name, client in CLIENTS.items()}  # type: ignore[call-arg]
    yield found
    for client in found.values():
        client.close()


@pytest.fixture
def cell(
    gateway: RunningGateway, providers: dict[str, Provider], clients: dict[str, Client]
) -> Callable[[str, str, str], Cell]:
    def build(client: str, upstream: str, form: str) -> Cell:
        providers[upstream].reset()
        return Cell(
            name=upstream,
            client=clients[client],
            upstream=UPSTREAMS[upstream],
            provider=providers[upstream],
            streams=form == "stream",
            passes=client == "chat completions" and upstream in ("openai", "azure"),
            row=lambda request_id: gateway.row(request_id=request_id),
        )

    return build


@pytest.mark.parametrize(("client", "upstream", "capability", "form"), list(cells()))
def test_a_cell_is_what_the_table_says(
    cell: Callable[[str, str, str], Cell],
    gateway: RunningGateway,
    client: str,
    upstream: str,
    capability: str,
    form: str,
) -> None:
    expected, built = outcome(client, upstream, capability), cell(client, upstream, form)
    check = CAPABILITIES[capability]
    match expected.kind:
        case "answered" | "absent":
            seen = check(built)
            assert seen is None or seen.warning == ""
        case "told":
            seen = check(built)
            assert seen is not None
            assert seen.warning == f"not passed on: {expected.name}"
        case "refused":
            with pytest.raises(FAILED) as refused:
                check(built)
            assert getattr(refused.value, "status_code", None) == 400
            assert expected.name in str(refused.value)
            assert built.provider.calls == []
    if capability in _LEAVES_TRACES:
        gateway.reset_deployments()


def test_the_readme_shows_this_table() -> None:
    assert shown_in((ROOT / "README.md").read_text(encoding="utf-8")) == markdown(), "python -m tests.app.matrix"
