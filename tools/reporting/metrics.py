"""How each metric is displayed in tables and plots, and its key among the pipeline's figures."""

from dataclasses import dataclass

from stages.evaluation.breakdowns import BANDS, PRESENT


@dataclass(frozen=True)
class Metric:
    """A metric's title, better direction, and display factor and digits."""

    title: str
    better: str  # "higher" | "lower"
    factor: float = 100
    digits: int = 1

    def format(self, value: float, sign: str = "") -> str:
        return f"{value * self.factor:{sign}.{self.digits}f}"


METRICS = {
    "auc_macro": Metric("AUC macro", "higher"),
    "auc_micro": Metric("AUC micro", "higher"),
    "f1_macro_mullenbach": Metric("F1 macro (CAML)", "higher"),
    "f1_macro": Metric("F1 macro", "higher"),
    "f1_micro": Metric("F1 micro", "higher"),
    "precision_at_5": Metric("P@5", "higher"),
    "precision_at_8": Metric("P@8", "higher"),
    "precision_at_15": Metric("P@15", "higher"),
    "r_precision": Metric("R-precision", "higher"),
    "mean_average_precision": Metric("MAP", "higher"),
    "map": Metric("MAP", "higher"),
    "precision": Metric("precision", "higher"),
    "recall": Metric("recall", "higher"),
    "f1": Metric("F1", "higher"),
    "mece": Metric("MECE", "lower", digits=2),
    "ece": Metric("ECE", "lower", digits=2),
    "brier": Metric("Brier", "lower", digits=2),
    "log_loss": Metric("log loss", "lower", factor=1, digits=4),
    "ae": Metric("AE", "lower", digits=2),
    "rae": Metric("RAE", "lower", factor=1, digits=3),
    "ae_shifted": Metric("AE, shifted", "lower", digits=2),
    "rae_shifted": Metric("RAE, shifted", "lower", factor=1, digits=3),
    "promised_precision": Metric("promised precision", "higher"),
    "promised_recall": Metric("promised recall", "higher"),
    "risk": Metric("risk", "lower"),
    "accepted": Metric("accepted", "higher"),
    "automatic_documents": Metric("documents without review", "higher"),
    "reviewed_per_document": Metric("to review, per document", "lower", factor=1),
    "auc_trained": Metric("AUC trained", "higher"),
    "auc_never": Metric("AUC never trained", "higher"),
    "auc_1_4": Metric("AUC of 1-4 documents", "higher"),
    "auc_5_9": Metric("AUC of 5-9 documents", "higher"),
    "mece_trained": Metric("MECE trained", "lower", digits=2),
    "mece_open": Metric("MECE open", "lower", digits=2),
    **{f"band_{band}": Metric(band, "higher") for band in reversed(BANDS)},
    "diversity": Metric("diversity", "higher", factor=1, digits=3),
    "token_f1": Metric("token F1", "higher"),
    "auprc": Metric("AUPRC", "higher"),
    "iou": Metric("IoU", "higher"),
    "top_token": Metric("top token annotated", "higher"),
    "comprehensiveness": Metric("comprehensiveness", "higher"),
    "sufficiency": Metric("sufficiency", "lower"),
}

QUANTIFIERS = {
    "lazy": "lazy",
    "cc": "CC",
    "pcc": "PCC",
    "acc": "ACC",
    "pacc": "PACC",
    "emq": "EMQ",
    "mlp": "MLP",
    "clq": "CLQ's MLP",
}
RECALIBRATIONS = {"": "none", "temperature.": "temperature", "platt.": "Platt, per code"}
THRESHOLDS = {"": "0.5", "shared_threshold.": "one, tuned", "code_thresholds.": "per code, tuned"}
ATTRIBUTIONS = {
    "contribution": "contribution (exact)",
    "attention": "attention",
    "input_x_gradient": "input x gradient",
    "attention_x_input_x_gradient": "attention x input x gradient",
    "random": "random",
}
ACCEPTED = (
    *("promised_precision", "promised_recall", "risk"),
    *("precision", "accepted", "recall", "reviewed_per_document", "automatic_documents"),
)
OPEN_SCORES = {
    "mix": "all codes, mixed",
    "trained_codes": "trained codes alone",
    "msam": "all codes by MSAM",
    "cosine": "cosine of windows and phrases",
    "letters": "TF-IDF of phrases' letters",
    "lookup": "phrase lookup",
    "shuffled_phrases": "mixed, phrases shuffled",
}
OPEN_METRICS = ("map", "f1", "auc_trained", "auc_never", "auc_1_4", "auc_5_9", "mece_trained", "mece_open")
BASELINES = {
    "lookup": "phrase lookup",
    "tfidf": "TF-IDF + logistic regression",
    "tfidf_tuned": "TF-IDF + LR, tuned threshold",
}


def keys(prefix: str, names: tuple[str, ...]) -> dict[str, str]:
    """Metric -> its key among an experiment's figures."""
    return {name: f"{prefix}.{name}" for name in names}


MAIN = {
    **keys("classification.test", ("auc_macro", "auc_micro", "f1_macro_mullenbach", "f1_macro", "f1_micro")),
    **keys("classification.test", ("precision_at_5", "precision_at_8", "precision_at_15")),
    "mece": "calibration.test.mece",
}
PRESENT_KEYS = keys("classification.test.present", PRESENT)
OFFICIAL_KEYS = keys("classification.test.official", ("map", "precision", "recall", "f1"))
