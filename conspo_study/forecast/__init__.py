"""What a study will cost, and what its seeds can show: computed before anything runs."""
