"""The steps of a fit, as functions of a plan."""
