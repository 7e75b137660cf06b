"""`python -m app` is `thriftgate`."""

from app.command_line import main

main(prog_name="thriftgate")
