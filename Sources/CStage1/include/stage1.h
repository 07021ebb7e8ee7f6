#ifndef D2A_STAGE1_H
#define D2A_STAGE1_H
#endif
