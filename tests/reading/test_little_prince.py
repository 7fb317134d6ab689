"""Le Petit Prince in three languages, all nine sections: every word gets its predictors, or is shared or named."""

import os
from pathlib import Path

import numpy as np
import pytest
from tiny_models import tiny_model, tiny_tokenizer

from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.pipeline import make_story_features
from sklearn_sae_encoding.reading import add_word_features
from sklearn_sae_encoding.timing import StoryRun, read_words

FOLDER = Path(os.environ.get("SKLEARN_SAE_ENCODING_DATA", "")) / "lepetitprince_words"
FILES = {
    "EN": "lppEN_word_information.csv",
    "FR": "lppFR_word_information.csv",
    "CN": "lppCN_word_information_sent_info.csv",
}
N_WORDS = {"EN": 15_345, "FR": 15_256, "CN": 16_009}  # rows that spell a word: read_words leaves out 31, 135 and none


@pytest.mark.published_data
@pytest.mark.skipif(not FOLDER.is_dir(), reason="no lepetitprince_words in SKLEARN_SAE_ENCODING_DATA")
@pytest.mark.filterwarnings("ignore:In the text", "ignore:.*word.*")
@pytest.mark.parametrize("language", FILES)
def test_every_word_of_nine_sections_is_placed_shared_or_without_spelling_and_sections_become_scans(language):
    words = read_words(FOLDER / FILES[language])
    words["number"] = words.groupby("section").cumcount() + 1
    lm = LanguageModel(tiny_model("llama"), tokenizer=tiny_tokenizer())
    table = add_word_features(words, model=lm, by="section", separator="" if language == "CN" else " ")
    assert len(table) == N_WORDS[language]
    assert table["section"].nunique() == 9
    assert table["surprisal"].notna().all()
    silent = table["shared_token"] | table["no_spelling"]
    assert (table.loc[silent, "surprisal"] == 0).all()
    assert (table.loc[~silent, "surprisal"] > 0).mean() > 0.99
    runs = []
    for _, section in words.groupby("section"):
        n_scans = int(np.ceil(section["offset"].max() / 2)) + 5
        runs.append(StoryRun(None, section.reset_index(drop=True), n_scans=n_scans, t_r=2.0, onset=0.0))
    scans = make_story_features(lm, layer=1, content="activations").fit_transform(runs)
    assert [len(part) for part in scans] == [run.n_scans for run in runs]
    assert all(np.isfinite(part).all() for part in scans)
