"""Commands: `conspo VERB`, and the command line that study scripts share.

The top floor: it may import every wing, and none imports it. `command_line` lists the verbs, each a
dataclass of its options with a method `run`; `script` is the `main` of study files.
"""
