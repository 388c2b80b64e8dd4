"""The manual: reference pages, man pages and shell completion, all from the programs' own words."""
