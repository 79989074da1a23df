/* made by scripts/generate.py from hdl/spec; do not edit.
 * Word addresses are those of the preset versa; a card's own geometry stands in its identity block.
 */
#ifndef T2T_H
#define T2T_H

#define T2T_MAGIC 0x54325431u

#define T2T_IDENTITY_MAGIC 0x00000u /* ro, 32 bits */
#define T2T_IDENTITY_MAP_DIGEST 0x00001u /* ro, 32 bits */
#define T2T_IDENTITY_WIDTH 0x00002u /* ro, 8 bits */
#define T2T_IDENTITY_SLOTS 0x00003u /* ro, 16 bits */
#define T2T_IDENTITY_PAIRS 0x00004u /* ro, 16 bits */
#define T2T_IDENTITY_ORDER_CAPACITY 0x00005u /* ro, 32 bits */
#define T2T_IDENTITY_LADDER_TICKS 0x00006u /* ro, 16 bits */
#define T2T_IDENTITY_OPEN_ORDERS 0x00007u /* ro, 16 bits */
#define T2T_IDENTITY_CYCLES 0x00008u /* ro, 64 bits */
#define T2T_IDENTITY_RING_MESSAGES 0x0000Au /* ro, 32 bits */
#define T2T_IDENTITY_ADAPTIVE 0x0000Bu /* ro, 1 bits */
#define T2T_IDENTITY_REPAIR 0x0000Cu /* ro, 1 bits */
#define T2T_IDENTITY_LINE_RATE 0x0000Du /* ro, 1 bits */
#define T2T_FEED_ADDRESS 0x0000Eu /* rw, 32 bits */
#define T2T_FEED_PORT 0x0000Fu /* rw, 16 bits */
#define T2T_FEED_ADDRESS_B 0x00010u /* rw, 32 bits */
#define T2T_FEED_PORT_B 0x00011u /* rw, 16 bits */
#define T2T_FEED_SESSION 0x00012u /* rw, 80 bits */
#define T2T_FEED_NEXT_SEQUENCE 0x00015u /* load, 64 bits */
#define T2T_FEED_HIGHEST 0x00017u /* ro, 64 bits */
#define T2T_FEED_GAP_WAIT 0x00019u /* rw, 32 bits */
#define T2T_FEED_RECOVER 0x0001Au /* rw, 1 bits */
#define T2T_FEED_HOLD_UNTIL_FCS 0x0001Bu /* rw, 1 bits */
#define T2T_FEED_INJECT 0x0001Cu /* load, 32 bits */
#define T2T_FEED_BINDINGS 0x00020u /* rw, table */
#define T2T_FEED_BINDINGS_ROWS 16u
#define T2T_FEED_BINDINGS_STRIDE 1u /* words */
#define T2T_BOOK_CLEAR 0x00030u /* pulse, 1 bits */
#define T2T_BOOK_DECLARE_EXACT 0x00031u /* pulse, 1 bits */
#define T2T_BOOK_READY 0x00032u /* ro, 1 bits */
#define T2T_BOOK_LIVE_ORDERS 0x00033u /* ro, 32 bits */
#define T2T_BOOK_TABLE_PEAK 0x00034u /* ro, 32 bits */
#define T2T_BOOK_DETACHED 0x00035u /* ro, 16 bits */
#define T2T_STRATEGY_COOLDOWN 0x00036u /* set, 32 bits */
#define T2T_STRATEGY_PAIRS 0x00400u /* set, table */
#define T2T_STRATEGY_PAIRS_ROWS 64u
#define T2T_STRATEGY_PAIRS_STRIDE 16u /* words */
#define T2T_STRATEGY_PAIR_LISTS 0x00800u /* rw, table */
#define T2T_STRATEGY_PAIR_LISTS_ROWS 16u
#define T2T_STRATEGY_PAIR_LISTS_STRIDE 1u /* words */
#define T2T_STRATEGY_PAIR_INDEX 0x00880u /* rw, table */
#define T2T_STRATEGY_PAIR_INDEX_ROWS 128u
#define T2T_STRATEGY_PAIR_INDEX_STRIDE 1u /* words */
#define T2T_STRATEGY_SAMPLE_INTERVAL 0x00900u /* set, 6 bits */
#define T2T_STRATEGY_INSPECT 0x00901u /* load, 16 bits */
#define T2T_STRATEGY_INSPECT_MEAN 0x00902u /* ro, 68 bits */
#define T2T_STRATEGY_INSPECT_VARIANCE 0x00905u /* ro, 72 bits */
#define T2T_STRATEGY_INSPECT_SAMPLES 0x00908u /* ro, 16 bits */
#define T2T_STRATEGY_PAIR_LEGS 0x00940u /* rw, table */
#define T2T_STRATEGY_PAIR_LEGS_ROWS 64u
#define T2T_STRATEGY_PAIR_LEGS_STRIDE 1u /* words */
#define T2T_RISK_TRADING_STATE 0x00980u /* load, 2 bits */
#define T2T_RISK_MODE 0x00981u /* rw, 2 bits */
#define T2T_RISK_RATE_TOKENS 0x00982u /* set, 16 bits */
#define T2T_RISK_RATE_INTERVAL 0x00983u /* set, 32 bits */
#define T2T_RISK_IGNORE_MARKET_HOURS 0x00984u /* rw, 1 bits */
#define T2T_RISK_NEXT_USER_REF_NUM 0x00985u /* load, 32 bits */
#define T2T_RISK_LIMITS 0x00A00u /* set, table */
#define T2T_RISK_LIMITS_ROWS 16u
#define T2T_RISK_LIMITS_STRIDE 8u /* words */
#define T2T_RISK_REARM 0x00A80u /* load, 32 bits */
#define T2T_RISK_ORDERS_OPEN 0x00A81u /* ro, 16 bits */
#define T2T_RISK_HEARTBEAT 0x00A82u /* pulse, 1 bits */
#define T2T_RISK_WATCHDOG 0x00A83u /* rw, 32 bits */
#define T2T_RISK_STALE_AFTER 0x00A84u /* set, 32 bits */
#define T2T_RISK_CEILINGS_LOCKED 0x00A85u /* ro, 1 bits */
#define T2T_RISK_CEILINGS 0x00A90u /* rw, table */
#define T2T_RISK_CEILINGS_ROWS 1u
#define T2T_RISK_CEILINGS_STRIDE 16u /* words */
#define T2T_RISK_PNL 0x00AA0u /* ro, 80 bits */
#define T2T_RISK_GROSS 0x00AA3u /* ro, 80 bits */
#define T2T_RISK_NET_LONG 0x00AA6u /* ro, 80 bits */
#define T2T_RISK_NET_SHORT 0x00AA9u /* ro, 80 bits */
#define T2T_RISK_MAX_GROSS 0x00AACu /* set, 56 bits */
#define T2T_RISK_MAX_NET 0x00AAEu /* set, 56 bits */
#define T2T_RISK_MAX_LOSS 0x00AB0u /* set, 56 bits */
#define T2T_RISK_LOSS_REACHED 0x00AB2u /* ro, 1 bits */
#define T2T_RISK_REARM_LOSS 0x00AB3u /* pulse, 1 bits */
#define T2T_RISK_MAX_OPEN_ORDERS 0x00AB4u /* set, 16 bits */
#define T2T_RISK_DUPLICATE_WINDOW 0x00AB5u /* set, 32 bits */
#define T2T_RISK_SLOT_RATE_ORDERS 0x00AB6u /* set, 16 bits */
#define T2T_RISK_SLOT_RATE_WINDOW 0x00AB7u /* set, 32 bits */
#define T2T_RISK_REFERENCES 0x00AC0u /* rw, table */
#define T2T_RISK_REFERENCES_ROWS 16u
#define T2T_RISK_REFERENCES_STRIDE 1u /* words */
#define T2T_RISK_COMMIT 0x00AD0u /* load, 16 bits */
#define T2T_RISK_EPOCH 0x00AD1u /* ro, 16 bits */
#define T2T_RISK_CHECKSUM 0x00AD2u /* ro, 32 bits */
#define T2T_RISK_ORDER 0x00AD4u /* rw, table */
#define T2T_RISK_ORDER_ROWS 1u
#define T2T_RISK_ORDER_STRIDE 2u /* words */
#define T2T_RISK_RELOAD 0x00B00u /* rw, table */
#define T2T_RISK_RELOAD_ROWS 16u
#define T2T_RISK_RELOAD_STRIDE 8u /* words */
#define T2T_RISK_INSPECT_LEDGER 0x00B80u /* load, 21 bits */
#define T2T_RISK_INSPECT_LEDGER_WORD 0x00B81u /* ro, 32 bits */
#define T2T_RISK_LEDGER_CHANGES 0x00B82u /* ro, 32 bits */
#define T2T_RISK_CANCEL_ALL 0x00B83u /* pulse, 1 bits */
#define T2T_RISK_REJECT_RATE_ORDERS 0x00B84u /* set, 12 bits */
#define T2T_RISK_CANCEL_RATE_ORDERS 0x00B85u /* set, 12 bits */
#define T2T_RISK_REPORT_RATE_WINDOW 0x00B86u /* set, 32 bits */
#define T2T_RISK_CANARY_QUANTITY 0x00B87u /* rw, 20 bits */
#define T2T_SESSION_UP 0x00B88u /* rw, 1 bits */
#define T2T_SESSION_LOCAL_MAC 0x00B89u /* rw, 48 bits */
#define T2T_SESSION_PEER_MAC 0x00B8Bu /* rw, 48 bits */
#define T2T_SESSION_LOCAL_ADDRESS 0x00B8Du /* rw, 32 bits */
#define T2T_SESSION_PEER_ADDRESS 0x00B8Eu /* rw, 32 bits */
#define T2T_SESSION_LOCAL_PORT 0x00B8Fu /* rw, 16 bits */
#define T2T_SESSION_PEER_PORT 0x00B90u /* rw, 16 bits */
#define T2T_SESSION_SEND_NEXT 0x00B91u /* load, 32 bits */
#define T2T_SESSION_RECEIVE_NEXT 0x00B92u /* load, 32 bits */
#define T2T_SESSION_SYMBOLS 0x00BA0u /* rw, table */
#define T2T_SESSION_SYMBOLS_ROWS 16u
#define T2T_SESSION_SYMBOLS_STRIDE 2u /* words */
#define T2T_STATUS_FRAMES_RECEIVED 0x00BC0u /* ro, 32 bits */
#define T2T_STATUS_FRAMES_SENT 0x00BC1u /* ro, 32 bits */
#define T2T_STATUS_MESSAGES 0x00BC2u /* ro, 32 bits */
#define T2T_STATUS_BBO_CHANGES 0x00BC3u /* ro, 32 bits */
#define T2T_STATUS_TRIGGERS 0x00BC4u /* ro, 32 bits */
#define T2T_STATUS_ORDERS_PASSED 0x00BC5u /* ro, 32 bits */
#define T2T_STATUS_ORDERS_REFUSED 0x00BC6u /* ro, 32 bits */
#define T2T_STATUS_EVENTS_LOST 0x00BC7u /* ro, 32 bits */
#define T2T_STATUS_LOST_AFTER_USE 0x00BC8u /* ro, 32 bits */
#define T2T_STATUS_GAPS 0x00BC9u /* ro, 32 bits */
#define T2T_STATUS_HEARTBEATS 0x00BCAu /* ro, 32 bits */
#define T2T_STATUS_DUPLICATES_A 0x00BCBu /* ro, 32 bits */
#define T2T_STATUS_DUPLICATES_B 0x00BCCu /* ro, 32 bits */
#define T2T_STATUS_DUPLICATES_INJECT 0x00BCDu /* ro, 32 bits */
#define T2T_STATUS_RECOVERED 0x00BCEu /* ro, 32 bits */
#define T2T_STATUS_LIMITS_REFUSED 0x00BCFu /* ro, 32 bits */
#define T2T_STATUS_WATCHDOG_EXPIRED 0x00BD0u /* ro, 32 bits */
#define T2T_STATUS_SAMPLES 0x00BD1u /* ro, 32 bits */
#define T2T_STATUS_SAMPLES_LOST 0x00BD2u /* ro, 32 bits */
#define T2T_STATUS_SAMPLES_CUT 0x00BD3u /* ro, 32 bits */
#define T2T_STATUS_COMMITS_WRONG_EPOCH 0x00BD4u /* ro, 32 bits */
#define T2T_STATUS_COMMITS_INCOMPLETE 0x00BD5u /* ro, 32 bits */
#define T2T_STATUS_ROWS_OUT_OF_TURN 0x00BD6u /* ro, 32 bits */
#define T2T_STATUS_STRUCTURE_REFUSED 0x00BD7u /* ro, 32 bits */
#define T2T_STATUS_CANCELS_SENT 0x00BD8u /* ro, 32 bits */
#define T2T_STATUS_COMMITS_ABOVE_CEILING 0x00BD9u /* ro, 32 bits */
#define T2T_STATUS_DROP 0x00BE0u /* ro, table */
#define T2T_STATUS_DROP_ROWS 32u
#define T2T_STATUS_DROP_STRIDE 1u /* words */
#define T2T_STATUS_REFUSAL 0x00C00u /* ro, table */
#define T2T_STATUS_REFUSAL_ROWS 34u
#define T2T_STATUS_REFUSAL_STRIDE 1u /* words */
#define T2T_STATUS_MISS 0x00C40u /* ro, table */
#define T2T_STATUS_MISS_ROWS 9u
#define T2T_STATUS_MISS_STRIDE 1u /* words */
#define T2T_STATUS_ALARM 0x00C50u /* ro, table */
#define T2T_STATUS_ALARM_ROWS 5u
#define T2T_STATUS_ALARM_STRIDE 1u /* words */
#define T2T_STATUS_ITCH_TYPE 0x00C60u /* ro, table */
#define T2T_STATUS_ITCH_TYPE_ROWS 23u
#define T2T_STATUS_ITCH_TYPE_STRIDE 1u /* words */

enum t2t_drop {
    T2T_DROP_RUNT = 0,
    T2T_DROP_OVERSIZE = 1,
    T2T_DROP_NOT_IPV4 = 2,
    T2T_DROP_IP_HEADER = 3,
    T2T_DROP_IP_CHECKSUM = 4,
    T2T_DROP_FRAGMENT = 5,
    T2T_DROP_ADDRESS = 6,
    T2T_DROP_PORT = 7,
    T2T_DROP_UDP_LENGTH = 8,
    T2T_DROP_TRUNCATED = 9,
    T2T_DROP_FCS = 10,
    T2T_DROP_UDP_CHECKSUM = 11,
    T2T_DROP_MOLD_HEADER = 12,
    T2T_DROP_SESSION = 13,
    T2T_DROP_BLOCK_LENGTH = 14,
    T2T_DROP_DUPLICATE = 15,
    T2T_DROP_ITCH_TYPE = 16,
    T2T_DROP_ITCH_LENGTH = 17,
    T2T_DROP_BOOK_OVERRUN = 18,
    T2T_DROP_TCP_HEADER = 19,
    T2T_DROP_TCP_CHECKSUM = 20,
    T2T_DROP_TCP_ORDER = 21,
    T2T_DROP_SOUP_TYPE = 22,
    T2T_DROP_OUCH_TYPE = 23,
    T2T_DROP_HOLD_OVERRUN = 24,
    T2T_DROP_SEGMENT_OVERRUN = 25,
    T2T_DROP_BEYOND = 26,
    T2T_DROP_INJECT_LENGTH = 27,
    T2T_DROP_INJECT_OVERRUN = 28,
    T2T_DROP_PRIVATE_REFUSED = 29,
    T2T_DROP_DETACH_REFUSED = 30,
    T2T_DROP_ATTACH_REFUSED = 31,
};

enum t2t_refusal {
    T2T_REFUSAL_KILLED = 0,
    T2T_REFUSAL_HALTED = 1,
    T2T_REFUSAL_REDUCE_ONLY = 2,
    T2T_REFUSAL_MODE_OFF = 3,
    T2T_REFUSAL_SLOT_DISABLED = 4,
    T2T_REFUSAL_PAIR_DISABLED = 5,
    T2T_REFUSAL_QUANTITY = 6,
    T2T_REFUSAL_NOTIONAL = 7,
    T2T_REFUSAL_COLLAR = 8,
    T2T_REFUSAL_NO_REFERENCE = 9,
    T2T_REFUSAL_LONG_LIMIT = 10,
    T2T_REFUSAL_SHORT_LIMIT = 11,
    T2T_REFUSAL_RATE = 12,
    T2T_REFUSAL_INTEGRITY = 13,
    T2T_REFUSAL_STOCK_HALTED = 14,
    T2T_REFUSAL_MARKET_CLOSED = 15,
    T2T_REFUSAL_CROSSED = 16,
    T2T_REFUSAL_TRANSMITTER_BUSY = 17,
    T2T_REFUSAL_SESSION_DOWN = 18,
    T2T_REFUSAL_LEDGER_FULL = 19,
    T2T_REFUSAL_OTHER_LEG = 20,
    T2T_REFUSAL_SHORT_SALE = 21,
    T2T_REFUSAL_STALE = 22,
    T2T_REFUSAL_OFF_TICK = 23,
    T2T_REFUSAL_GROSS = 24,
    T2T_REFUSAL_NET = 25,
    T2T_REFUSAL_LOSS = 26,
    T2T_REFUSAL_OPEN_ORDERS = 27,
    T2T_REFUSAL_DUPLICATE = 28,
    T2T_REFUSAL_SLOT_RATE = 29,
    T2T_REFUSAL_REJECT_RATE = 30,
    T2T_REFUSAL_CANCEL_RATE = 31,
    T2T_REFUSAL_LOCATE = 32,
    T2T_REFUSAL_CANARY = 33,
};

enum t2t_miss {
    T2T_MISS_PENDING = 0,
    T2T_MISS_COOLDOWN = 1,
    T2T_MISS_SIZE = 2,
    T2T_MISS_MAX_UNITS = 3,
    T2T_MISS_OVERRUN = 4,
    T2T_MISS_GATE_BUSY = 5,
    T2T_MISS_ALLOWANCE = 6,
    T2T_MISS_HOST_ORDER = 7,
    T2T_MISS_REJECTS = 8,
};

enum t2t_integrity {
    T2T_INTEGRITY_EXACT = 0,
    T2T_INTEGRITY_SUSPECT = 1,
    T2T_INTEGRITY_DEAD = 2,
};

enum t2t_integrity_cause {
    T2T_INTEGRITY_CAUSE_RELOADED = 0,
    T2T_INTEGRITY_CAUSE_GAP = 1,
    T2T_INTEGRITY_CAUSE_LOST_AFTER_USE = 2,
    T2T_INTEGRITY_CAUSE_UNKNOWN_ORDER = 3,
    T2T_INTEGRITY_CAUSE_DUPLICATE_ORDER = 4,
    T2T_INTEGRITY_CAUSE_OVERFILL = 5,
    T2T_INTEGRITY_CAUSE_TABLE_FULL = 6,
    T2T_INTEGRITY_CAUSE_OFF_TICK = 7,
    T2T_INTEGRITY_CAUSE_LEVEL_OVERFLOW = 8,
    T2T_INTEGRITY_CAUSE_OVERRUN = 9,
    T2T_INTEGRITY_CAUSE_ZERO_SHARES = 10,
    T2T_INTEGRITY_CAUSE_RECOVERED = 11,
    T2T_INTEGRITY_CAUSE_DETACHED = 12,
    T2T_INTEGRITY_CAUSE_CLEARED = 13,
    T2T_INTEGRITY_CAUSE_WINDOW = 14,
    T2T_INTEGRITY_CAUSE_REFILLED = 15,
    T2T_INTEGRITY_CAUSE_MALFORMED = 16,
};

enum t2t_trading_state {
    T2T_TRADING_STATE_ACTIVE = 0,
    T2T_TRADING_STATE_REDUCE_ONLY = 1,
    T2T_TRADING_STATE_HALTED = 2,
    T2T_TRADING_STATE_KILLED = 3,
};

enum t2t_mode {
    T2T_MODE_OFF = 0,
    T2T_MODE_SHADOW = 1,
    T2T_MODE_LIVE = 2,
};

enum t2t_alarm {
    T2T_ALARM_UNKNOWN_ORDER = 0,
    T2T_ALARM_OVERFILL = 1,
    T2T_ALARM_UNHANDLED_REPORT = 2,
    T2T_ALARM_REPORT_OVERRUN = 3,
    T2T_ALARM_BROKEN_TRADE = 4,
};

enum t2t_order_state {
    T2T_ORDER_STATE_FREE = 0,
    T2T_ORDER_STATE_SENT = 1,
    T2T_ORDER_STATE_LIVE = 2,
    T2T_ORDER_STATE_FILLED = 3,
    T2T_ORDER_STATE_CANCELED = 4,
    T2T_ORDER_STATE_REJECTED = 5,
};

enum t2t_pair_action {
    T2T_PAIR_ACTION_SELL_SPREAD = 0,
    T2T_PAIR_ACTION_BUY_SPREAD = 1,
    T2T_PAIR_ACTION_BUY_BACK = 2,
    T2T_PAIR_ACTION_SELL_OUT = 3,
};

enum t2t_leg_action {
    T2T_LEG_ACTION_COMPLETE = 4,
    T2T_LEG_ACTION_UNWIND = 5,
    T2T_LEG_ACTION_STOP = 6,
};

enum t2t_pair_outcome {
    T2T_PAIR_OUTCOME_FILLED = 0,
    T2T_PAIR_OUTCOME_NOTHING = 1,
    T2T_PAIR_OUTCOME_LEGGED = 2,
};

enum t2t_leg_policy {
    T2T_LEG_POLICY_STOP = 0,
    T2T_LEG_POLICY_COMPLETE = 1,
    T2T_LEG_POLICY_UNWIND = 2,
};

#define T2T_EVENT_ALARM 'A'
#define T2T_EVENT_ALARM_SIZE 20u /* bytes */
#define T2T_EVENT_ALARM_KIND 0u /* 1 bytes */
#define T2T_EVENT_ALARM_WORDS 1u /* 1 bytes */
#define T2T_EVENT_ALARM_LOST 2u /* 2 bytes */
#define T2T_EVENT_ALARM_NUMBER 4u /* 4 bytes */
#define T2T_EVENT_ALARM_CYCLE 8u /* 4 bytes */
#define T2T_EVENT_ALARM_USER_REF_NUM 12u /* 4 bytes */
#define T2T_EVENT_ALARM_ALARM 16u /* 1 bytes */
#define T2T_EVENT_ALARM_REPORT 17u /* 1 bytes */
#define T2T_EVENT_ALARM_SPARE 18u /* 2 bytes */

#define T2T_EVENT_FILL 'F'
#define T2T_EVENT_FILL_SIZE 52u /* bytes */
#define T2T_EVENT_FILL_KIND 0u /* 1 bytes */
#define T2T_EVENT_FILL_WORDS 1u /* 1 bytes */
#define T2T_EVENT_FILL_LOST 2u /* 2 bytes */
#define T2T_EVENT_FILL_NUMBER 4u /* 4 bytes */
#define T2T_EVENT_FILL_CYCLE 8u /* 4 bytes */
#define T2T_EVENT_FILL_USER_REF_NUM 12u /* 4 bytes */
#define T2T_EVENT_FILL_MATCH_NUMBER 16u /* 8 bytes */
#define T2T_EVENT_FILL_PRICE 24u /* 4 bytes */
#define T2T_EVENT_FILL_QUANTITY 28u /* 4 bytes */
#define T2T_EVENT_FILL_POSITION 32u /* 4 bytes */
#define T2T_EVENT_FILL_CASH 36u /* 8 bytes */
#define T2T_EVENT_FILL_SLOT 44u /* 2 bytes */
#define T2T_EVENT_FILL_PAIR 46u /* 2 bytes */
#define T2T_EVENT_FILL_SIDE 48u /* 1 bytes */
#define T2T_EVENT_FILL_SPARE 49u /* 3 bytes */

#define T2T_EVENT_ORDER_STATE 'S'
#define T2T_EVENT_ORDER_STATE_SIZE 28u /* bytes */
#define T2T_EVENT_ORDER_STATE_KIND 0u /* 1 bytes */
#define T2T_EVENT_ORDER_STATE_WORDS 1u /* 1 bytes */
#define T2T_EVENT_ORDER_STATE_LOST 2u /* 2 bytes */
#define T2T_EVENT_ORDER_STATE_NUMBER 4u /* 4 bytes */
#define T2T_EVENT_ORDER_STATE_CYCLE 8u /* 4 bytes */
#define T2T_EVENT_ORDER_STATE_USER_REF_NUM 12u /* 4 bytes */
#define T2T_EVENT_ORDER_STATE_OPEN_SHARES 16u /* 4 bytes */
#define T2T_EVENT_ORDER_STATE_SLOT 20u /* 2 bytes */
#define T2T_EVENT_ORDER_STATE_PAIR 22u /* 2 bytes */
#define T2T_EVENT_ORDER_STATE_STATE 24u /* 1 bytes */
#define T2T_EVENT_ORDER_STATE_REPORT 25u /* 1 bytes */
#define T2T_EVENT_ORDER_STATE_REASON 26u /* 2 bytes */

#define T2T_EVENT_ORDER_SENT 'O'
#define T2T_EVENT_ORDER_SENT_SIZE 36u /* bytes */
#define T2T_EVENT_ORDER_SENT_KIND 0u /* 1 bytes */
#define T2T_EVENT_ORDER_SENT_WORDS 1u /* 1 bytes */
#define T2T_EVENT_ORDER_SENT_LOST 2u /* 2 bytes */
#define T2T_EVENT_ORDER_SENT_NUMBER 4u /* 4 bytes */
#define T2T_EVENT_ORDER_SENT_SEQUENCE 8u /* 8 bytes */
#define T2T_EVENT_ORDER_SENT_CYCLE 16u /* 4 bytes */
#define T2T_EVENT_ORDER_SENT_USER_REF_NUM 20u /* 4 bytes */
#define T2T_EVENT_ORDER_SENT_EOT_TO_SOF 24u /* 4 bytes */
#define T2T_EVENT_ORDER_SENT_SOM_TO_SOF 28u /* 4 bytes */
#define T2T_EVENT_ORDER_SENT_PAIR 32u /* 2 bytes */
#define T2T_EVENT_ORDER_SENT_TRIGGER_TYPE 34u /* 1 bytes */
#define T2T_EVENT_ORDER_SENT_EPOCH 35u /* 1 bytes */

#define T2T_EVENT_CANCEL_SENT 'C'
#define T2T_EVENT_CANCEL_SENT_SIZE 16u /* bytes */
#define T2T_EVENT_CANCEL_SENT_KIND 0u /* 1 bytes */
#define T2T_EVENT_CANCEL_SENT_WORDS 1u /* 1 bytes */
#define T2T_EVENT_CANCEL_SENT_LOST 2u /* 2 bytes */
#define T2T_EVENT_CANCEL_SENT_NUMBER 4u /* 4 bytes */
#define T2T_EVENT_CANCEL_SENT_CYCLE 8u /* 4 bytes */
#define T2T_EVENT_CANCEL_SENT_USER_REF_NUM 12u /* 4 bytes */

#define T2T_EVENT_VERDICT 'V'
#define T2T_EVENT_VERDICT_SIZE 48u /* bytes */
#define T2T_EVENT_VERDICT_KIND 0u /* 1 bytes */
#define T2T_EVENT_VERDICT_WORDS 1u /* 1 bytes */
#define T2T_EVENT_VERDICT_LOST 2u /* 2 bytes */
#define T2T_EVENT_VERDICT_NUMBER 4u /* 4 bytes */
#define T2T_EVENT_VERDICT_SEQUENCE 8u /* 8 bytes */
#define T2T_EVENT_VERDICT_CYCLE 16u /* 4 bytes */
#define T2T_EVENT_VERDICT_REFUSALS 20u /* 8 bytes */
#define T2T_EVENT_VERDICT_USER_REF_NUM 28u /* 4 bytes */
#define T2T_EVENT_VERDICT_PRICE 32u /* 4 bytes */
#define T2T_EVENT_VERDICT_QUANTITY 36u /* 4 bytes */
#define T2T_EVENT_VERDICT_SLOT 40u /* 2 bytes */
#define T2T_EVENT_VERDICT_PAIR 42u /* 2 bytes */
#define T2T_EVENT_VERDICT_SIDE 44u /* 1 bytes */
#define T2T_EVENT_VERDICT_LEG 45u /* 1 bytes */
#define T2T_EVENT_VERDICT_MODE 46u /* 1 bytes */
#define T2T_EVENT_VERDICT_EPOCH 47u /* 1 bytes */

#define T2T_EVENT_TRIGGER 'T'
#define T2T_EVENT_TRIGGER_SIZE 32u /* bytes */
#define T2T_EVENT_TRIGGER_KIND 0u /* 1 bytes */
#define T2T_EVENT_TRIGGER_WORDS 1u /* 1 bytes */
#define T2T_EVENT_TRIGGER_LOST 2u /* 2 bytes */
#define T2T_EVENT_TRIGGER_NUMBER 4u /* 4 bytes */
#define T2T_EVENT_TRIGGER_SEQUENCE 8u /* 8 bytes */
#define T2T_EVENT_TRIGGER_CYCLE 16u /* 4 bytes */
#define T2T_EVENT_TRIGGER_SPREAD 20u /* 8 bytes */
#define T2T_EVENT_TRIGGER_PAIR 28u /* 2 bytes */
#define T2T_EVENT_TRIGGER_ACTION 30u /* 1 bytes */
#define T2T_EVENT_TRIGGER_EPOCH 31u /* 1 bytes */

#define T2T_EVENT_GAP 'G'
#define T2T_EVENT_GAP_SIZE 28u /* bytes */
#define T2T_EVENT_GAP_KIND 0u /* 1 bytes */
#define T2T_EVENT_GAP_WORDS 1u /* 1 bytes */
#define T2T_EVENT_GAP_LOST 2u /* 2 bytes */
#define T2T_EVENT_GAP_NUMBER 4u /* 4 bytes */
#define T2T_EVENT_GAP_CYCLE 8u /* 4 bytes */
#define T2T_EVENT_GAP_FIRST 12u /* 8 bytes */
#define T2T_EVENT_GAP_NEXT 20u /* 8 bytes */

#define T2T_EVENT_INTEGRITY 'I'
#define T2T_EVENT_INTEGRITY_SIZE 32u /* bytes */
#define T2T_EVENT_INTEGRITY_KIND 0u /* 1 bytes */
#define T2T_EVENT_INTEGRITY_WORDS 1u /* 1 bytes */
#define T2T_EVENT_INTEGRITY_LOST 2u /* 2 bytes */
#define T2T_EVENT_INTEGRITY_NUMBER 4u /* 4 bytes */
#define T2T_EVENT_INTEGRITY_SEQUENCE 8u /* 8 bytes */
#define T2T_EVENT_INTEGRITY_CYCLE 16u /* 4 bytes */
#define T2T_EVENT_INTEGRITY_ORDER_REF 20u /* 8 bytes */
#define T2T_EVENT_INTEGRITY_SLOT 28u /* 2 bytes */
#define T2T_EVENT_INTEGRITY_INTEGRITY 30u /* 1 bytes */
#define T2T_EVENT_INTEGRITY_CAUSE 31u /* 1 bytes */

#define T2T_EVENT_BBO 'B'
#define T2T_EVENT_BBO_SIZE 48u /* bytes */
#define T2T_EVENT_BBO_KIND 0u /* 1 bytes */
#define T2T_EVENT_BBO_WORDS 1u /* 1 bytes */
#define T2T_EVENT_BBO_LOST 2u /* 2 bytes */
#define T2T_EVENT_BBO_NUMBER 4u /* 4 bytes */
#define T2T_EVENT_BBO_SEQUENCE 8u /* 8 bytes */
#define T2T_EVENT_BBO_TIMESTAMP 16u /* 8 bytes */
#define T2T_EVENT_BBO_CYCLE 24u /* 4 bytes */
#define T2T_EVENT_BBO_BID_PRICE 28u /* 4 bytes */
#define T2T_EVENT_BBO_BID_SHARES 32u /* 4 bytes */
#define T2T_EVENT_BBO_ASK_PRICE 36u /* 4 bytes */
#define T2T_EVENT_BBO_ASK_SHARES 40u /* 4 bytes */
#define T2T_EVENT_BBO_SLOT 44u /* 2 bytes */
#define T2T_EVENT_BBO_INTEGRITY 46u /* 1 bytes */
#define T2T_EVENT_BBO_SPARE 47u /* 1 bytes */

#endif
