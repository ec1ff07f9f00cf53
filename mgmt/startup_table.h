// What an operator sees when the gateway has started: what it runs with, in a few lines.
#pragma once

#include <stdio.h>

struct gateway;

void startup_table_print(FILE *to, const struct gateway *gw);
