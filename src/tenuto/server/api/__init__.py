"""The routes of the Hub protocol that concern a repo as a whole, and the description of our own."""
