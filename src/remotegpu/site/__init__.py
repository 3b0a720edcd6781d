"""The site toolkit: one ``remotegpu.yaml`` becomes a deployment, and stays one.

``config`` says what a site is. Pure modules decide; only ``runner`` starts processes.
"""
