"""The campaign studio: inputs, proposal, map, cards, comparison, saved plans, results."""
