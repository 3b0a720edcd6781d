"""What an operator does with a site: one module per verb, each a recipe of calls to the others."""
