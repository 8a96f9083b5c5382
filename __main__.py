"""`python -m aquatint` is the console script."""

from .cli import main

main()
