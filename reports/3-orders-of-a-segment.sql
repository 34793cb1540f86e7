---
id: 3
title: Orders of a customer segment
description: |
  The orders that customers of one market segment placed, with who placed them.
  Choose priorities to see only those, and the column to sort by.
filters:
  segment:
    type: dropdown
    label: Market segment
    required: true
    default: BUILDING
    values:
      AUTOMOBILE: Automobiles
      BUILDING: Building
      FURNITURE: Furniture
      HOUSEHOLD: Household
      MACHINERY: Machinery
  since:
    type: date
    label: Ordered on or after
    default: 1998-07-01
  priorities:
    type: dropdown
    label: Priorities
    multiple: true
    values:
      - {key: 1-URGENT, label: Urgent}
      - {key: 2-HIGH, label: High}
      - {key: 3-MEDIUM, label: Medium}
      - {key: 4-NOT SPECIFIED, label: Not specified}
      - {key: 5-LOW, label: Low}
  sort:
    type: dropdown
    label: Sort by
    default: o_orderdate
    required: true
    values:
      - {key: o_orderdate, label: Date}
      - {key: o_totalprice desc, label: "Price, highest first"}
      - {key: c_name, label: Customer}
---
select
    o_orderkey as order_key,
    o_orderdate as order_date,
    o_orderpriority as priority,
    o_orderstatus as status,
    o_totalprice as total_price,
    c_custkey as customer_key,
    c_name as customer
from orders
join customer on c_custkey = o_custkey
where c_mktsegment = {{ segment }}
    [[and o_orderdate >= {{ since }}]]
    [[and o_orderpriority in ( {{ priorities }} )]]
order by {{ sort | noquote }}, o_orderkey
