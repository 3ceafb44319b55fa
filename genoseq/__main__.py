"""`python -m genoseq` is the console script."""

from genoseq.cli import main

if __name__ == "__main__":
    main()
