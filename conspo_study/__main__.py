"""`python -m conspo_study` is the command `conspo`."""

from conspo_study.commands.manage import main

raise SystemExit(main())
