"""What the view of a fitted model is made of: tables of features, and the walk through what made them."""
