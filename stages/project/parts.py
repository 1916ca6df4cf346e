"""The parts of a corpus, in the one order in which every table and every count goes through them."""

PARTS = ("train", "val", "test")
LEARNT = PARTS[:2]  # what training sees: it learns from the first and is steered by the second
SCORED = PARTS[1:]  # what is predicted and evaluated
