"""Numbers of Lepori, Kay and Tuckute (2026), over eight participants, with Gemma-2-2b.

Scores are noise-ceiling-normalised correlations at layer 12; `p` are p-values of paired t-tests against surprisal,
Bonferroni-adjusted for three models. What was published as "below .001" is that text.
"""

import pandas as pd

MODELS = ["JumpReLU", "Matryoshka", "Dense"]  # that the paper compares with surprisal
_COLUMNS = ["Shuffled", "Surprisal", *MODELS, "gain of all three", "p Matryoshka", "p Dense", "p JumpReLU"]

SETS = pd.DataFrame(
    {
        "hard_to_process": [-0.005, 0.505, 0.472, 0.521, 0.510, -0.004, 0.79, 1.0, 0.24],
        "easy_to_process": [0.015, 0.264, 0.287, 0.311, 0.316, 0.040, 1.0, 1.0, 1.0],
        "abstract": [0.003, 0.200, 0.595, 0.682, 0.700, 0.459, 1e-5, 1e-5, 4e-5],
        "concrete": [0.013, 0.234, 0.510, 0.593, 0.610, 0.337, 7e-4, 2e-4, 0.004],
        "ghost": [-0.007, -0.017, 0.060, 0.125, 0.129, 0.122, 0.22, 0.12, 0.22],
    },
    index=_COLUMNS,
).T

# Mean gain of the three models over surprisal, in scores over the ceiling at two layers, and in plain r at layer 12.
GAINS = pd.DataFrame(
    {
        "layer 12": [-0.004, 0.040, 0.459, 0.337, 0.122],
        "layer 14": [-0.030, 0.002, 0.457, 0.346, 0.119],
        "r": [-0.003, 0.027, 0.305, 0.222, 0.075],
    },
    index=SETS.index,
)

# Mean number of features in a fold's support, surprisal included.
SUPPORT_SIZE = pd.Series(
    {"hard_to_process": 22.9, "easy_to_process": 9.2, "abstract": 21.3, "concrete": 17.2, "ghost": 6.9}
)

REGIONS = pd.DataFrame(
    {
        "IFGorb": [0.209, 0.384, 0.481, 0.490, 0.243, 0.019, 0.017, 0.069],
        "IFG": [0.240, 0.409, 0.472, 0.470, 0.211, 0.019, 0.010, 0.040],
        "MFG": [0.308, 0.377, 0.409, 0.432, 0.098, 0.28, 0.093, 0.25],
        "AntTemp": [0.165, 0.457, 0.556, 0.566, 0.361, *["<.001"] * 3],
        "PostTemp": [0.186, 0.412, 0.503, 0.524, 0.294, *["<.001"] * 3],
    },
    index=_COLUMNS[1:],
).T

POOLED = pd.Series({"Surprisal": 0.208, "JumpReLU": 0.418, "Matryoshka": 0.499, "Dense": 0.515})

# Averages of five participants at 3T, 1,000 sentences.
AT_3T = pd.DataFrame(
    {
        "IFGorb": [0.250, 0.379, 0.432, 0.322],
        "IFG": [0.281, 0.394, 0.403, 0.444],
        "MFG": [0.311, 0.367, 0.392, 0.393],
        "AntTemp": [0.196, 0.411, 0.483, 0.474],
        "PostTemp": [0.280, 0.402, 0.447, 0.401],
    },
    index=["Surprisal", *MODELS],
).T

FRONTAL = ["IFGorb", "IFG", "MFG"]
SURPRISAL_OVER_MATRYOSHKA = pd.Series({"IFGorb": 0.43, "IFG": 0.51, "MFG": 0.75, "AntTemp": 0.30, "PostTemp": 0.37})

# Surprisal's weight: the published predictor is the mean log-probability, whose sign is the other one.
POSITIVE_SURPRISAL_WEIGHT = 0.923

# Bins by their place, from the coarsest: Gemma's SAE has 128, 512, 2048, 8192 and 32768.
LANGUAGE_BINS = pd.Series(
    {"first": 0.496, "second": 0.332, "third": 0.372, "fourth": 0.344, "fifth": 0.320, "rest": 0.396, "all": 0.499}
)
SET_BINS = pd.Series(
    {
        "first": 0.452,
        "second": 0.337,
        "third": 0.358,
        "fourth": 0.311,
        "fifth": 0.307,
        "first two": 0.456,
        "rest": 0.366,
        "rest after two": 0.353,
    }
)
LANGUAGE_OCCUPANCY = pd.DataFrame(
    {"mean_count": [10.76, 4.90, 6.34, 2.83, 1.52], "share": [0.41, 0.19, 0.24, 0.11, 0.06]},
    index=["first", "second", "third", "fourth", "fifth"],
)
FIRST_AGAINST_REST = {"t": 3.75, "p_value": 0.007}

# Signed index in the SAE of Gemma and number of voxels, of 160.
SIGNED_FEATURES = {
    "hard_to_process": "+82 156, -71 155, -44 106, -79 89, -40 79, +389 77, +8071 75, -1469 72",
    "easy_to_process": "+71 99, +44 70, -82 70, +40 48",
    "abstract": "-79 156, +40 144, -94 137, -71 107, +389 103, +1916 102, -44 92, +16 68",
    "concrete": "+79 133, -40 123, +82 78, -1916 66, +94 62, +71 53, +44 51, -44 47",
    "ghost": "-44 40, +44 37, +40 34, -79 30, +94 24",
}
LANGUAGE_FEATURES = "-79 3872, -44 3758, -71 2837, -94 1804, +389 1767, +40 1760, +82 1680, +8071 1600 of 5,021 voxels"
FIRING = (
    "of Gemma's features, 37 to 51 of each bin fire on 50 or more sentences, on 100 or more 30 of the first, 8 to 13"
)
TOP_ENTROPY = "2.9 to 3.0 of at most 3.0 bits in the five most prevalent features"
N_FEATURES_EVER_USED = 828

# The published table of pairs of voxels is available for those pairs only that involve p4 or p7; so these means are.
TRANSFER_PAIRS = "pairs with p4 or p7"
TRANSFER = pd.DataFrame(
    {"same region": [0.557, 0.438], "other region": [0.478, 0.453]}, index=["same participant", "other participant"]
)
TRANSFER_DIRECT_CORRELATION = 0.19
SELF_TRANSFER = "0.76 to 0.87"
GHOST_CLUSTER = "32 of 160 voxels, of 6 of 8 participants, chosen by eye"
GHOST_PLACES = "PGi 14 of 32; of the other ghosts, 87% lie out of language parcels"
REGION_CLUSTERS = "two of 100 and 182 of 2,296 voxels, of eight participants, chosen by eye"
