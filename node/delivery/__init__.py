"""From stored result objects to the PACS."""
