//! Time steps, churn and solvers, a node for each line of Algorithm 2.
