"""Tables of text and of the paper, rendered for terminals, Markdown, CSV, LaTeX and HTML."""
