"""Features and the pages that show them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline, make_union
from tiny_saes import make_sae, make_texts

from sklearn_sae_encoding.analysis import FeatureExport, FeatureTaxonomy, count_feature_use, link_features
from sklearn_sae_encoding.fitted import feature_table, fitted_view
from sklearn_sae_encoding.sae import SAEProjector

ADDRESS = "https://www.neuronpedia.org/gemma-2-2b/12-res/{index}"


def projector(page=None, **options):
    named = {} if page is None else {"neuronpedia_id": page}
    return SAEProjector(make_sae(**named), **options)


def test_a_fitted_projector_knows_the_page_that_its_saes_metadata_name_and_invents_none():
    assert projector("gemma-2-2b/12-res").fit(make_texts()).page_ == ADDRESS
    assert projector().fit(make_texts()).page_ is None
    assert SAEProjector(n_features=8, n_steps=2).fit(make_texts()).page_ is None
    assert projector("a b/{index}").fit(make_texts()).page_ == "https://www.neuronpedia.org/a%20b/%7Bindex%7D/{index}"


def test_the_saes_of_the_papers_are_shown_under_the_names_that_sae_lens_has():
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    releases = get_pretrained_saes_directory()
    gemma = releases["gemma-scope-2b-pt-res-canonical"].neuronpedia_id["layer_12/width_16k/canonical"]
    assert projector(gemma).fit(make_texts()).page_.format(index=3).endswith("/gemma-2-2b/12-gemmascope-res-16k/3")
    gpt2 = releases["gpt2-small-res-jb"].neuronpedia_id["blocks.8.hook_resid_pre"]
    assert projector(gpt2).fit(make_texts()).page_.format(index=3).endswith("/gpt2-small/8-res-jb/3")


def test_tables_of_a_fitted_model_have_the_page_of_each_feature_by_the_saes_own_index():
    texts, Y = make_texts(), np.random.default_rng(0).normal(size=(7, 2))
    model = make_pipeline(projector("gemma-2-2b/12-res", features=[3, 7, 20], reconstruction=["error"]), Ridge())
    model.fit(texts, Y)
    pages = [ADDRESS.format(index=index) for index in (3, 7, 20)]
    table = fitted_view(model).features
    assert table["page"].tolist() == [*pages, None]
    used = count_feature_use(model)
    by_name = dict(zip(table["feature"], table["page"], strict=True))
    assert used["page"].tolist() == [by_name[name] for name in used["feature"]]
    plain = used.drop(columns="page")
    assert link_features(plain, model)["page"].tolist() == used["page"].tolist()
    assert link_features(plain, fitted_view(model))["page"].tolist() == used["page"].tolist()
    without = make_pipeline(projector(features=[3, 7, 20]), Ridge()).fit(texts, Y)
    assert "page" not in fitted_view(without).features
    assert "page" not in count_feature_use(without)
    assert link_features(count_feature_use(without), without)["page"].isna().all()


def test_features_of_two_saes_link_to_their_own_pages():
    parts = [projector(page, features=2).fit(make_texts()) for page in ("toy/1", "toy/2", None)]
    union = make_union(*parts, verbose_feature_names_out=True)
    view = fitted_view(make_pipeline(union, Ridge()).fit(make_texts(), np.arange(7.0)))
    ends = [None if page is None else page[-7:] for page in link_features(view.features[["feature"]], view)["page"]]
    assert ends == ["toy/1/0", "toy/1/1", "toy/2/0", "toy/2/1", None, None]
    own = pd.DataFrame({"index": [0, 1]})  # of which of the three?
    assert link_features(own, view)["page"].tolist() == [None, None]


def test_an_address_serves_tables_by_the_saes_own_index_or_by_name_and_other_features_link_nowhere():
    own = feature_table(["a", "b"], kinds=["sae", "control"], sae_index=[7])
    assert link_features(own, ADDRESS)["page"].tolist() == [ADDRESS.format(index=7), None]
    named = pd.DataFrame({"feature": ["content__sae_00079", "surprisal"], "index": [3, 4]}, index=[5, 6])
    linked = link_features(named, ADDRESS)
    assert linked["page"].tolist() == [ADDRESS.format(index=79), None]
    assert linked.index.tolist() == [5, 6]
    labels = FeatureTaxonomy([{"index": 3, "category": "lexical"}]).table
    export = FeatureExport(labels, labels, labels, labels, ADDRESS)
    for source in (ADDRESS, export, projector("gemma-2-2b/12-res").fit(make_texts())):
        assert link_features(labels, source)["page"].tolist() == [ADDRESS.format(index=3)]
    assert link_features(labels, None)["page"].tolist() == [None]


@pytest.mark.parametrize("address", ["javascript:alert({index})", "https://www.neuronpedia.org/toy"])
def test_what_is_no_address_of_a_page_is_refused(address):
    with pytest.raises(ValueError, match=r"need an https address with the place \{index\}"):
        link_features(pd.DataFrame({"index": [1]}), address)


def test_what_names_no_feature_of_the_model_is_refused():
    with pytest.raises(ValueError, match=r"sae_index, feature or index, got \['name'\]"):
        link_features(pd.DataFrame({"name": ["a"]}), ADDRESS)
    model = projector().fit(make_texts())
    with pytest.raises(ValueError, match="no feature named 'people'"):
        link_features(pd.DataFrame({"feature": ["people"]}), model)
