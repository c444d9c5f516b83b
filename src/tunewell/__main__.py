"""`python -m tunewell`."""

from tunewell.cli import main

main()
