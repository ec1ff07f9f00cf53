// The reference pages that are printed from the tables the code itself reads, in Markdown.
#pragma once

#include <stdbool.h>
#include <stdio.h>

// 'page' is "config", "metrics" or "commands". Returns false if there is no such page.
bool reference_print(FILE *to, const char *page);
