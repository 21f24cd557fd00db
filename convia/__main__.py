"""``python -m convia`` is the command ``convia``."""

from convia.cli import main

if __name__ == "__main__":
    main()
