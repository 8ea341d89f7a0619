//! Names for the fields and curves of the BN254/Grumpkin cycle.

/// BN254 scalar field: the field of the step and merge circuits, and the base field of Grumpkin.
pub type Fr = halo2curves::bn256::Fr;
/// BN254 base field: the field of the CycleFold circuit, and the scalar field of Grumpkin.
pub type Fq = halo2curves::bn256::Fq;
/// Affine point of BN254 G1.
pub type G1Affine = halo2curves::bn256::G1Affine;
/// Projective point of BN254 G1.
pub type G1 = halo2curves::bn256::G1;
/// Affine point of BN254 G2.
pub type G2Affine = halo2curves::bn256::G2Affine;
/// Affine point of Grumpkin.
pub type GkAffine = halo2curves::grumpkin::G1Affine;
/// Projective point of Grumpkin.
pub type Gk = halo2curves::grumpkin::G1;
