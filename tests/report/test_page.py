"""One page that shows texts as texts, points nowhere and leaves the session as it was."""

import re
import subprocess
import sys

import matplotlib as mpl
from report_cases import HOSTILE, Page, given, make_encoder, make_features, make_responses, make_texts

from sklearn_sae_encoding.report import encoder_report


def test_labels_by_the_saes_own_index_stand_beside_their_features(report):
    assert "places" in Page(report.html).cells


def test_texts_and_labels_are_text_whatever_they_hold(report):
    page = Page(report.html)
    assert page.elements.count("script") == 1
    assert not {"svg", "iframe", "b", "i"} & set(page.elements)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not page.unbalanced
    assert not page.open
    shown = set(page.cells)
    assert "<b onclick='window.hacked=1'>people</b>" in shown
    assert {text for text in HOSTILE if text in shown}  # those that drive a shown feature, letter for letter
    hostile_shown = [cell for cell in shown if "hacked" in cell or "$body" in cell]
    assert set(hostile_shown) <= {*HOSTILE, "<b onclick='window.hacked=1'>people</b>"}


def test_all_hostile_texts_survive_letter_for_letter_but_for_what_no_page_can_hold():
    X = make_features()
    X.loc[: len(HOSTILE) - 1, "sae_00000"] = 100.0
    Y = make_responses(X)
    Y += 2 * X[["sae_00000"]].to_numpy()
    report = encoder_report(
        make_encoder().fit(X, Y),
        make_texts(),
        Y,
        **given(X),
        n_texts=len(HOSTILE),
        n_features=31,
    )
    cells = set(Page(report.html).cells)
    for text in HOSTILE:
        assert re.sub("[\x00\x1b\ud83d]", "\ufffd", text) in cells


def test_nothing_in_the_page_points_outside_of_it(report):
    page = Page(report.html)
    for tag, name, value in page.attributes:
        if name in ("src", "href", "srcset", "action", "data", "poster"):
            assert value.startswith(("data:", "#")), (tag, name, value)
    style = re.search("<style>(.*?)</style>", report.html, re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style


def test_ids_are_unique_links_lead_somewhere_and_images_have_words(report):
    page = Page(report.html)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {v[1:] for _, name, v in page.attributes if name == "href" and v.startswith("#")} <= set(ids)
    assert page.elements.count("img") == len([1 for _, name, value in page.attributes if name == "alt" and value])


def test_it_is_nilearns_report_and_its_file_is_the_page(report, tmp_path):
    from nilearn.reporting import HTMLReport

    assert isinstance(report, HTMLReport)
    report.save_as_html(tmp_path / "report.html")
    saved = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert saved == report.html == str(report)
    assert saved.startswith("<!DOCTYPE html>")
    assert "iframe" in report._repr_html_()[:10]


def test_it_opens_the_file_that_it_saves(report, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    report.open_in_browser(tmp_path / "a b.html")
    assert opened == [(tmp_path / "a b.html").as_uri()]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    report.open_in_browser()
    assert opened[1].startswith((tmp_path / "encoder_report_").as_uri())


def test_the_figures_and_settings_of_the_session_stay_as_they_were(case):
    import matplotlib.pyplot as plt

    X, Y, encoder, scores = case
    with mpl.rc_context({"font.size": 23}):
        figure = plt.figure()
        encoder_report(encoder, make_texts(), Y, scores=scores, **given(X), n_features=1)
        assert mpl.rcParams["font.size"] == 23
        assert plt.get_fignums() == [figure.number]
    plt.close("all")


def test_importing_the_report_loads_no_images_models_or_figures():
    heavy = {"nilearn", "torch", "transformers", "sae_lens", "matplotlib"}
    code = f"import sys, sklearn_sae_encoding.report; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
