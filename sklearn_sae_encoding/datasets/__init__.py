"""Real models and data to try things on, and simulated voxels with known truth."""

from sklearn_sae_encoding.datasets._alice import StoryData, load_alice
from sklearn_sae_encoding.datasets._annexed import check_annexed
from sklearn_sae_encoding.datasets._base import get_data_home
from sklearn_sae_encoding.datasets._demo_sae import load_demo_sae
from sklearn_sae_encoding.datasets._gemma3 import load_gemma3_270m
from sklearn_sae_encoding.datasets._jaeger2015 import load_jaeger2015
from sklearn_sae_encoding.datasets._lepori2026 import fetch_lepori2026, fetch_lepori2026_3t
from sklearn_sae_encoding.datasets._norms import load_lancaster_norms, load_supersenses
from sklearn_sae_encoding.datasets._provo import load_provo
from sklearn_sae_encoding.datasets._reading_corpora import fetch_natural_stories, fetch_provo
from sklearn_sae_encoding.datasets._sentences import load_sentences
from sklearn_sae_encoding.datasets._simulated import make_voxel_responses
from sklearn_sae_encoding.datasets._simulated_stories import make_story_responses
from sklearn_sae_encoding.datasets._smollm2 import load_smollm2
from sklearn_sae_encoding.datasets._story_corpora import load_lebel2023, load_lepetitprince, read_narratives_story
from sklearn_sae_encoding.datasets._story_lists import load_story_list
from sklearn_sae_encoding.datasets._three_languages import load_three_languages

__all__ = [
    "StoryData",
    "check_annexed",
    "fetch_lepori2026",
    "fetch_lepori2026_3t",
    "fetch_natural_stories",
    "fetch_provo",
    "get_data_home",
    "load_alice",
    "load_demo_sae",
    "load_gemma3_270m",
    "load_jaeger2015",
    "load_lancaster_norms",
    "load_lebel2023",
    "load_lepetitprince",
    "load_provo",
    "load_sentences",
    "load_smollm2",
    "load_story_list",
    "load_supersenses",
    "load_three_languages",
    "make_story_responses",
    "make_voxel_responses",
    "read_narratives_story",
]
