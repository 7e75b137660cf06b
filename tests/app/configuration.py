"""Configurations for the scripted provider: three models with round prices, one for each tier."""

from typing import Final

from tests.app.provider import Provider

SECRET: Final = "sk-upstream-7Q2x-only-for-the-provider"
ENVIRONMENT: Final = {"SCRIPTED_KEY": SECRET}

# USD per million tokens, so a token costs 1000 times as many nano-dollars.
PRICES: Final = {"large": (10, 40), "medium": (2, 8), "small": (1, 4)}
_TIERS: Final = {"large": "premium", "medium": "mid", "small": "economy"}
MAX_OUTPUT_TOKENS: Final = 1000
NO_CHANCE: Final[dict[str, str | bool | float]] = {"explore_share": 0.0, "holdout_share": 0.0}


def scripted(provider: Provider, **settings: str | int | float) -> str:
    """Provider `scripted` and the models `large`, `medium` and `small`, which it knows as `large-2025` and so on."""
    lines = ["[providers.scripted]", f'base_url = "{provider.base_url}"', 'api_key = "env:SCRIPTED_KEY"']
    lines += [f"{name} = {value!r}" for name, value in ({"retries": 0} | settings).items()]
    return "\n".join(lines) + "\n" + "".join(model(name, f"{name}-2025") for name in PRICES)


def model(name: str, *upstream: str, provider: str = "scripted", tier: str | None = None) -> str:
    """[models.NAME] with one deployment for each name that the provider knows it by."""
    tokens_in, tokens_out = PRICES.get(name, (1, 4))
    deployments = "".join(
        f'[[models.{name}.deployments]]\nprovider = "{provider}"\nmodel = "{known_as}"\n'
        f"list_price = {{ input = {tokens_in}, output = {tokens_out} }}\n"
        for known_as in upstream
    )
    rank = tier or _TIERS.get(name, "economy")
    return f'[models.{name}]\ntier = "{rank}"\nmax_output_tokens = {MAX_OUTPUT_TOKENS}\n{deployments}'


def route(name: str, *models: str, cache: str = "", **settings: str | bool | float) -> str:
    """[routes.NAME] with its cache settings as inline TOML. What `auto` chooses is left to chance only if a test says
    so."""
    names = ", ".join(f'"{known}"' for known in models or PRICES)
    given = (NO_CHANCE | settings).items()
    lines = [f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for key, value in given]
    return f"[routes.{name}]\nmodels = [{names}]\n" + "\n".join(lines) + f"\n[routes.{name}.cache]\n{cache}\n"


def budget(owner: str, nano: int, **settings: str | float) -> str:
    """`[OWNER.budget]`, e.g. for `organisation`, `teams.sales` or `teams.sales.apps.bot`."""
    whole, fraction = divmod(nano, 1_000_000_000)
    lines = [f"{key} = {value!r}" for key, value in settings.items()]
    return f"[{owner}.budget]\nusd = {whole}.{fraction:09d}\n" + "\n".join(lines) + "\n"
