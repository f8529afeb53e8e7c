"""The command as one typer application, for `typer ... utils docs`: perfring itself builds it call by call."""

from perfring.cli import build_app

app = build_app()
