"""The main job, once, on this machine: what ``remotegpu demo`` does after the platform is up.

``journey`` puts the acts in order, one module per act; everything goes through the public API, as people would.
"""
