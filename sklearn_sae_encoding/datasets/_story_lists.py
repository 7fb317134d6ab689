"""Which stories published data sets hold, who heard them, and what is held out."""

import pandas as pd

# https://github.com/HuthLab/deep-fMRI-dataset, deep-dataset/sess_to_story.json at b5113d7
_LEBEL_SESSIONS = """
alternateithicatom souls avatar legacy odetostepfather
undertheinfluence howtodraw myfirstdaywiththeyankees naked life
stagefright tildeath fromboyhoodtofatherhood sloth exorcism
haveyoumethimyet adollshouse inamoment theclosetthatateeverything adventuresinsayingyes buck
swimmingwithastronauts thatthingonmyarm eyespy itsabox hangtime
"""
_LEBEL_TEST = "wheretheressmoke"
# https://github.com/csinva/fmri, neuro/data/story_names.py at 066e835: what three participants heard besides.
_LEBEL_MORE = """
afatherscover againstthewind backsideofthestorm becomingindian beneaththemushroomcloud birthofanation bluehope
breakingupintheageofgoogle catfishingstrangerstofindmyself cautioneating christmas1940 cocoonoflove
comingofageondeathrow firetestforlove food forgettingfear gangstersandcookies goingthelibertyway goldiethegoldfish
golfclubbing gpsformylostidentity ifthishaircouldtalk jugglingandjesus kiksuya leavingbaghdad
lifeanddeathontheoregontrail lifereimagined listo mayorofthefreaks metsmagic mybackseatviewofagreatromance
myfathershands notontheusualtour onlyonewaytofindout penpal quietfire reachingoutbetweenthebars shoppinginchina
singlewomanseekingmanwich stumblinginthedark superheroesjustforeachother sweetaspie theadvancedbeginner thecurse
thefreedomridersandme theinterview thepostmanalwayscalls theshower thetiniestbouquet thetriangleshirtwaistconnection
threemonths thumbsup treasureisland vixenandtheussr waitingtogo whenmothersbullyback wildwomenanddancingqueens
"""
_LEBEL_NOT_HEARD = {"UTS02": ("bluehope", "gpsformylostidentity", "singlewomanseekingmanwich"), "UTS04": ("life",)}
_LEBEL_PARTICIPANTS = tuple(f"UTS0{i}" for i in range(1, 9))
_LEBEL_MORE_HEARD_BY = _LEBEL_PARTICIPANTS[:3]
# Run, chapters, and of English, French and Chinese: words and when the last one ends, in seconds. Chapters from
# https://github.com/AlexandrePsq/LePetitPrince, README.md at 0ea1583; words counted in the word tables of ds003643,
# without rows that hold none: https://github.com/chrplr/lpp_average_subject_en at 36f44be,
# https://github.com/BelCorentin/neurospin-petit-prince at 5f964c5c, https://github.com/dgd45125/LPPxORCxEN-CN at
# 4eb4a63.
_LEPETITPRINCE = """
1 1-3 1516 554.63 1614 610.38 1753 564.95
2 4-6 1690 587.738 1768 643.9 1800 642.66
3 7-9 1852 671.287 1860 699.12 1919 643.69
4 10-12 1615 598.151 1641 621.42 1645 612.18
5 13-14 1520 522.124 1520 577.77 1568 583.45
6 15-19 1810 678.003 1845 747.2 1845 782.88
7 20-22 1785 641.896 1696 654.94 1796 726.63
8 23-25 1583 575.724 1516 579.74 1568 585.19
9 26-27 1974 727.034 1796 663.16 2115 801.06
"""
_LANGUAGES = ("EN", "FR", "CN")
# https://github.com/snastase/narratives, code/event_meta.json at 20c9fe1: task, story, onset, duration, in scans.
_NARRATIVES_T_R = 1.5
_NARRATIVES = """
21styear 21styear 14 2225
black black 8 533
bronx bronx 8 357
forgot forgot 8 558
lucy lucy 1 361
merlin merlin 22 591
milkyway milkyway 14 269
notthefallintact notthefallintact 20 365
notthefalllongscram notthefalllongscram 20 365
notthefallshortscram notthefallshortscram 20 365
pieman pieman 10 281
piemanpni piemanpni 8 267
prettymouth prettymouth 14 451
shapesphysical shapesphysical 33 270
shapessocial shapessocial 33 272
sherlock sherlock 22 701
slumlordreach slumlord 20 602
slumlordreach reach 646 550
tunnel tunnel 2 1023
"""


def load_story_list(dataset, participant=None):
    """List the stories of a published data set: who is tested on what, and when the sound begins.

    What authors wrote down in public code, so that splits are those of other work.

    Parameters
    ----------
    dataset : {"lebel2023", "lepetitprince", "narratives"}
        ds003020, ds003643 or ds002345.

    participant : str, default=None
        Of ds003020 the stories that this participant heard, such as ``"UTS04"``; of ds003643 the sections in the
        participant's language, such as ``"EN057"`` or ``"FR"``. None is all.

    Returns
    -------
    table : pandas.DataFrame
        A row a story, ``story`` being its name. Of ``"lebel2023"`` the ``session`` (1 to 5 of those that all heard;
        missing for stories that three participants heard besides, and for the test story, which came in every session)
        and the ``split``: ``"test"`` is the story that was heard again and again. (Later work holds out
        ``"fromboyhoodtofatherhood"``, too.) Of ``"narratives"`` the ``task`` in the names of files, and the ``onset``
        and ``duration`` of the sound in seconds after the beginning of the first scan; one task has two stories.
        Of ``"lepetitprince"`` a row a section of the book and language: the ``run`` (1 to 9, the ``section`` of the
        word tables), its ``chapters``, ``language``, how many words the word table has (``n_words``), and when the last
        one ends (``last_word``, in seconds after the sound began): a run of fewer scans is another one. There is no
        published test run: work on these data leaves out one run after the other. ``table.attrs["source"]`` says where
        they stand.

    Raises
    ------
    ValueError
        If there is no such data set or participant.

    References
    ----------
    LeBel et al. (2023), "A natural language fMRI dataset for voxelwise encoding models", Scientific Data 10. Li et
    al. (2022), "Le Petit Prince multilingual naturalistic fMRI corpus", Scientific Data 9. Nastase et al. (2021), "The
    Narratives fMRI dataset for evaluating models of naturalistic language comprehension", Scientific Data 8.

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import load_story_list
    >>> stories = load_story_list("lebel2023", "UTS03")
    >>> stories.groupby("split").size().to_dict()
    {'test': 1, 'train': 83}
    >>> load_story_list("narratives").set_index("story").loc["pieman", "onset"]
    np.float64(15.0)
    >>> load_story_list("lepetitprince", "EN")["chapters"].tolist()
    ['1-3', '4-6', '7-9', '10-12', '13-14', '15-19', '20-22', '23-25', '26-27']
    """
    if dataset == "lebel2023":
        return _lebel(participant)
    if dataset == "lepetitprince":
        return _lepetitprince(participant)
    if dataset != "narratives":
        raise ValueError(
            f"There is a list of stories of 'lebel2023', 'lepetitprince' and 'narratives', not of {dataset!r}."
        )
    if participant is not None:
        raise ValueError("Of Narratives it is not listed who heard what: its participants.tsv says so.")
    rows = [line.split() for line in _NARRATIVES.strip().splitlines()]
    table = pd.DataFrame(rows, columns=["task", "story", "onset", "duration"])
    for name in ("onset", "duration"):
        table[name] = table[name].astype(float) * _NARRATIVES_T_R
    table.attrs["source"] = "https://github.com/snastase/narratives, code/event_meta.json"
    return table


def _lebel(participant):
    if participant is not None and participant not in _LEBEL_PARTICIPANTS:
        raise ValueError(f"The participants are {', '.join(_LEBEL_PARTICIPANTS)}, got {participant!r}.")
    sessions = [line.split() for line in _LEBEL_SESSIONS.strip().splitlines()]
    rows = [(story, session, "train") for session, stories in enumerate(sessions, start=1) for story in stories]
    if participant is None or participant in _LEBEL_MORE_HEARD_BY:
        rows += [(story, pd.NA, "train") for story in _LEBEL_MORE.split()]
    rows.append((_LEBEL_TEST, pd.NA, "test"))
    table = pd.DataFrame(rows, columns=["story", "session", "split"]).astype({"session": "Int64"})
    table = table[~table["story"].isin(_LEBEL_NOT_HEARD.get(participant, ()))].reset_index(drop=True)
    table.attrs["source"] = (
        "https://github.com/HuthLab/deep-fMRI-dataset, deep-dataset/sess_to_story.json; "
        "https://github.com/csinva/fmri, neuro/data/story_names.py"
    )
    return table


def _lepetitprince(participant):
    language = None if participant is None else participant.removeprefix("sub-")[:2]
    if language is not None and language not in _LANGUAGES:
        raise ValueError(f"Participants of ds003643 begin with one of {', '.join(_LANGUAGES)}, got {participant!r}.")
    rows = []
    for line in _LEPETITPRINCE.strip().splitlines():
        run, chapters, *numbers = line.split()
        for one, n_words, last in zip(_LANGUAGES, numbers[::2], numbers[1::2], strict=True):
            rows.append((f"section {run}", int(run), chapters, one, int(n_words), float(last)))
    table = pd.DataFrame(rows, columns=["story", "run", "chapters", "language", "n_words", "last_word"])
    if language is not None:
        table = table[table["language"] == language].reset_index(drop=True)
    table.attrs["source"] = (
        "https://github.com/AlexandrePsq/LePetitPrince, README.md; word tables of https://openneuro.org/datasets/ds003643"
    )
    return table
