"""Problems: generated, read from files or fetched; checked, ordered, and turned into prompts.

`sources` turns configured names into problems, `order` gives training problems an order, `prompts`
turns problems into tokens, `check` reads all data of a study before it starts. `arithmetic` and
`word_problems` are tasks that are `generated`, `benchmarks` and `hub` the named sets, `overlap` the
comparison of training and evaluation sets.

`problems` reads a file: `rows` finds its rows, `columns` their fields, `control_characters` repairs
them, `golds` and `repeats` look at answers and at copies, `audit` collects what is to be told.
"""
