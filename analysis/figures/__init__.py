"""Figures: what they show (`data_*`), how it is drawn (`draw_*`), which there are (`gallery*`)."""
