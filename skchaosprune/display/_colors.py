"""Colours and markers of the plots."""

# Okabe and Ito's colours, which colour-blind eyes tell apart.
BLUE, VERMILION = "#0072B2", "#D55E00"
COLORS = [BLUE, VERMILION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
MARKERS = "osD^vPX"
GREY = "0.65"
# What is neutral, positive and negative, on a light (True) and on a dark ground.
INKS = {True: "0.15", False: "0.9"}
SIGNS = {True: (BLUE, VERMILION), False: ("#56B4E9", "#E69F00")}
