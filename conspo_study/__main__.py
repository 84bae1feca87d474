"""`python -m conspo_study` is the command `conspo`."""

from conspo_study.commands.command_line import main

raise SystemExit(main())
