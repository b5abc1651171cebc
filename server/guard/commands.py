"""What `scenebrush token …` does. server/cli.py imports this only when one of them runs."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.table import Table

from server.guard.store import tokens_path
from server.guard.tokens import Token, TokenFile
from server.settings import Settings


def add(settings: Settings, name: str, days: int | None) -> None:
    """Give out a token: it alone goes to standard output."""
    file = TokenFile(tokens_path(settings))
    given = file.add(name, time.time(), days)
    typer.echo(given)
    typer.echo(
        f"This is the only time that it is shown; {file.path} keeps a hash. Running servers take it at once.",
        err=True,
    )
    if not settings.require_token:
        typer.echo("No token is asked for until SCENEBRUSH_REQUIRE_TOKEN is true.", err=True)


def list_tokens(settings: Settings, *, as_json: bool) -> None:
    """Print the tokens that were given out, as far as they are known."""
    tokens = TokenFile(tokens_path(settings)).tokens()
    if as_json:
        entries = [{key: value for key, value in asdict(token).items() if key != "hash"} for token in tokens]
        typer.echo(json.dumps(entries, indent=1, ensure_ascii=False))
        return
    table = Table("id", "name", "created", "expires")
    for token in tokens:
        table.add_row(token.id, token.name, _date(token.created), _expiry(token))
    Console(markup=False).print(table)


def revoke(settings: Settings, id_or_name: str) -> None:
    """Take a token back."""
    token = TokenFile(tokens_path(settings)).revoke(id_or_name)
    typer.echo(f"revoked {token.id} ({token.name}); its live connections close in a few seconds", err=True)


def _expiry(token: Token) -> str:
    if token.expires is None:
        return "never"
    return f"{_date(token.expires)}{' (over)' if token.is_over(time.time()) else ''}"


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
