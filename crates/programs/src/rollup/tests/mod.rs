mod apply;
mod execute;
