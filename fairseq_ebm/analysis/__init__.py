"""One question a file, asked of records that other programs wrote."""
