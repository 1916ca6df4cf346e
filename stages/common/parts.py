"""The parts of a corpus, by the names that files and metrics give them."""

PARTS = ("train", "val", "test")  # in this order everywhere
LEARNT = PARTS[:2]  # seen in training: one to learn from, one to validate on
SCORED = PARTS[1:]  # what is predicted and evaluated
UNCODED = "uncoded"  # an extra part: documents without any code of the label set (`Corpus.uncoded`)
CHARTS = "charts"  # another: annotated documents of another corpus (`Corpus.charts`)
