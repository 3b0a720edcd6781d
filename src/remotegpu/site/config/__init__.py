"""What a site is: ``remotegpu.yaml``, its rules, and the pages made from its annotations."""
