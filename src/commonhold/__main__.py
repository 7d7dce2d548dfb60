"""`python -m commonhold`: what the installed command does, and how a node is started in the background."""

from __future__ import annotations

from commonhold.cli.main import main

if __name__ == "__main__":
    main()
