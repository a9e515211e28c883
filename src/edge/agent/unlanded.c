#include <stdlib.h>
#define X(n)                                                                   \
	void n(void);                                                          \
	void n(void)                                                           \
	{                                                                      \
		abort();                                                       \
	}
int config_open(void);
int
config_open(void)
{
	return -1;
}
void config_close(void);
void
config_close(void)
{
}
X(control_ask) X(config_dir) X(part_find) X(parts_enable) X(config_text)
