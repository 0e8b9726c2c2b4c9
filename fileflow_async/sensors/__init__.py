"""Sensors that wait in the triggerer and work when what they wait for is there."""
