"""The handbook for faults as data: steps that only look, each judged, one after the other, with the evidence kept.

Order carries meaning: what is asked first can cause what is asked later, so the first fault is the likely one.
"""
