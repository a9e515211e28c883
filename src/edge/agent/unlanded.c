#include <stdlib.h>
#define X(n)                                                                   \
	void n(void);                                                          \
	void n(void)                                                           \
	{                                                                      \
		abort();                                                       \
	}
X(config_open)
X(config_close) X(control_ask) X(config_dir) X(part_find) X(parts_enable)
